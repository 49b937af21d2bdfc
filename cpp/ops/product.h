// Routines around one matrix product.
#pragma once

#include <algorithm>

#include "graph/op.h"
#include "kernels/gemm.h"

namespace bpcore {

// Rough nanoseconds of a product, for choosing the number of threads.
inline double product_cost(int64_t m, int64_t n, int64_t k) {
  return 1e-2 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
}

// Lets a routine run body(gemm, frame, task) for each task of the product.
template <class T, class Body>
void run_product(Routine& routine, const kernels::GemmShape& shape, Body body) {
  const kernels::Gemm<T> shared(shape, true), alone(shape, false);
  routine.tasks = shared.tasks();
  routine.scratch_bytes = std::max(shared.scratch_elements(), alone.scratch_elements()) * int64_t{sizeof(T)};
  routine.run = [=](const Frame& frame, int64_t task) { body(shared, frame, task); };
  if (shared.tasks() == 1) return;
  routine.run_alone = [=](const Frame& frame) {
    for (int64_t task = 0; task < alone.tasks(); ++task) body(alone, frame, task);
  };
}

}  // namespace bpcore
