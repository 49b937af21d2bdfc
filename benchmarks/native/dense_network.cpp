#include "dense_network.h"

#include <cmath>
#include <random>

#include "core/error.h"
#include "graph/autodiff.h"

namespace bpcore::benchmarks {

std::string DenseNetwork::name() const {
  std::string text = std::to_string(sizes[0]);
  for (size_t i = 1; i < sizes.size(); ++i) text = concat(text, "-", sizes[i]);
  return concat(text, "/batch:", batch);
}

double DenseNetwork::flops() const {
  double total = 0;
  for (size_t i = 0; i + 1 < sizes.size(); ++i)
    total += (i == 0 ? 4.0 : 6.0) * static_cast<double>(batch * sizes[i] * sizes[i + 1]);
  return total;
}

std::shared_ptr<Store> DenseNetwork::store() const {
  std::vector<std::pair<std::string, Shape>> tensors;
  for (size_t i = 0; i + 1 < sizes.size(); ++i) {
    tensors.emplace_back(std::to_string(i) + ".weight", Shape{sizes[i], sizes[i + 1]});
    tensors.emplace_back(std::to_string(i) + ".bias", Shape{sizes[i + 1]});
  }
  auto store = std::make_shared<Store>(tensors, std::vector<std::pair<std::string, Shape>>{}, DType::Float32);
  std::mt19937 random(0);
  for (const Slot& slot : store->parameter_layout.slots()) {
    if (slot.shape.rank() == 1) continue;
    std::normal_distribution<float> normal(0, std::sqrt(2.0f / static_cast<float>(slot.shape[0])));
    for (int64_t i = 0; i < slot.shape.elements(); ++i)
      store->parameters.as<float>()[slot.offset + i] = normal(random);
  }
  return store;
}

std::shared_ptr<Plan> DenseNetwork::training_plan() const {
  Graph graph;
  Value x{graph, graph.input({DType::Float32, {batch, sizes[0]}}, "x")};
  const Value labels{graph, graph.input({DType::Int64, {batch}}, "labels")};
  std::vector<NodeId> parameters;
  for (size_t i = 0; i + 1 < sizes.size(); ++i) {
    const auto slot = static_cast<int64_t>(2 * i);
    const Value weight{graph, graph.parameter(slot, {DType::Float32, {sizes[i], sizes[i + 1]}}, "weight")};
    const Value bias{graph, graph.parameter(slot + 1, {DType::Float32, {sizes[i + 1]}}, "bias")};
    const bool last = i + 2 == sizes.size();
    x = apply("dense", {x, weight, bias}, {{"activation", std::string(last ? "" : "relu")}});
    parameters.push_back(weight.id());
    parameters.push_back(bias.id());
  }
  const Value loss = 1.0 / static_cast<double>(batch) * sum(apply("cross_entropy", {x, labels}), {0});
  const std::vector<NodeId> found = gradients(graph, loss.id(), parameters);
  std::vector<GradientRoot> roots;
  for (size_t i = 0; i < found.size(); ++i) roots.push_back({static_cast<int64_t>(i), found[i]});
  return std::make_shared<Plan>(graph, std::vector<NodeId>{loss.id()}, roots, true);
}

const std::vector<DenseNetwork>& dense_networks() {
  static const std::vector<DenseNetwork> all = {
      {{10, 32, 10}, 1},     {{10, 64, 64, 10}, 32},     {{784, 128, 10}, 32},
      {{784, 128, 10}, 128}, {{784, 256, 256, 10}, 256}, {{1024, 2048, 2048, 1000}, 256},
  };
  return all;
}

}  // namespace bpcore::benchmarks
