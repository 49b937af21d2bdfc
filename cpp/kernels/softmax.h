// Softmax of rows and what the losses need of it. Rows are contiguous.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/reduce.h"
#include "kernels/vector_math.h"

namespace bpcore::kernels {

// Σ exp(x[i] - shift), and the exponentials into `out` unless it is null. In the fixed order of one block
// after another, so a row's sum depends on the row alone.
template <class T>
T sum_of_exponentials(const T* x /* (count) */, int64_t count, T shift, T* out /* (count) or null */) {
  constexpr int size = math_block<T>;
  using Block = MathBlock<T>;
  using Map = Eigen::Map<Block>;
  using ConstMap = Eigen::Map<const Block>;
  Block total = Block::Zero();
  int64_t i = 0;
  for (; i + size <= count; i += size) {
    const Block e = exponential<T>(Block(ConstMap(x + i)) - shift);
    if (out != nullptr) Map(out + i) = e;
    total += e;
  }
  if (i < count) {
    Block e = Block::Zero();
    std::copy(x + i, x + count, e.data());
    e = exponential<T>(e - shift);
    for (int64_t j = count - i; j < size; ++j) e[j] = T(0);
    if (out != nullptr) std::copy(e.data(), e.data() + (count - i), out + i);
    total += e;
  }
  return reduce_row(total.data(), size, Sum{});
}

template <class T>
void softmax_row(const T* x, int64_t count, T* out) {
  const T sum = sum_of_exponentials(x, count, reduce_row(x, count, Max{}), out);
  const T scale = T(1) / sum;
  for (int64_t i = 0; i < count; ++i) out[i] *= scale;
}

// log Σ exp(x[i]) in two terms, to be subtracted one after the other: next to a large x, the sum of both
// would lose the small one's digits.
template <class T>
struct LogSumExp {
  T largest, rest;
};

template <class T>
LogSumExp<T> log_sum_exp(const T* x, int64_t count) {
  const T largest = reduce_row(x, count, Max{});
  return {largest, std::log(sum_of_exponentials<T>(x, count, largest, nullptr))};
}

}  // namespace bpcore::kernels
