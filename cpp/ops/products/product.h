// Routines around one matrix product.
#pragma once

#include <algorithm>

#include "graph/routine.h"
#include "kernels/gemm/gemm.h"

namespace bpcore {

// Rough nanoseconds of a product, for choosing the number of threads.
inline double product_cost(int64_t m, int64_t n, int64_t k) {
  return 1e-2 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
}

// Lets a routine run body(gemm, frame, task) for each task of the product.
template <class T, class Body>
void run_product(Routine& routine, const kernels::GemmShape& shape, Body body) {
  const auto cut = [&](int64_t most_tasks) -> Work {
    const kernels::Gemm<T> gemm(shape, most_tasks);
    const int64_t scratch = gemm.scratch_elements() * static_cast<int64_t>(sizeof(T));
    routine.scratch_bytes = std::max(routine.scratch_bytes, scratch);
    return {[=](const Frame& frame, int64_t task) { body(gemm, frame, task); }, gemm.tasks()};
  };
  static_cast<Work&>(routine) = cut(16);
  if (routine.tasks == 1) return;
  routine.alone = cut(1);
  routine.pair = cut(4);  // two each: a thread that comes late leaves its second one to the other
}

}  // namespace bpcore
