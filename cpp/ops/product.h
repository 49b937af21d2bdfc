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
  constexpr int64_t most_tasks = 8;
  const kernels::Gemm<T> many(shape, most_tasks), pair(shape, 2), one(shape, 1);
  const int64_t scratch =
      std::max({many.scratch_elements(), pair.scratch_elements(), one.scratch_elements()});
  routine.tasks = many.tasks();
  routine.scratch_bytes = scratch * static_cast<int64_t>(sizeof(T));
  routine.run = [=](const Frame& frame, int64_t task) { body(many, frame, task); };
  routine.run_share = [=](const Frame& frame, const Member& member) {
    const kernels::Gemm<T>& gemm = member.team.size() == 1 ? one : member.team.size() == 2 ? pair : many;
    const Range share = member.share(gemm.tasks());
    for (int64_t task = share.begin; task < share.end; ++task) body(gemm, frame, task);
  };
}

}  // namespace bpcore
