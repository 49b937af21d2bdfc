// The networks whose steps are measured: dense layers with relu between, and cross-entropy.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "graph/plan.h"
#include "graph/store.h"

namespace bpcore::benchmarks {

struct DenseNetwork {
  std::vector<int64_t> sizes;  // in, hidden …, classes
  int64_t batch;

  std::string name() const;  // "784-128-10/batch:32"
  // Of a step's products: 6·batch·in·out a layer, 4 for the first, whose input needs no gradient.
  double flops() const;

  // Weights (He normal) and biases (zero), float32.
  std::shared_ptr<Store> store() const;
  // The plan of a step: inputs x (batch, in) and labels (batch), the mean loss, a gradient per parameter.
  std::shared_ptr<Plan> training_plan() const;
};

// The same networks as in benchmarks/peers/dense_training.py.
const std::vector<DenseNetwork>& dense_networks();

}  // namespace bpcore::benchmarks
