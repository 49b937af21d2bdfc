// Softmax of rows and what the losses need of it. Rows are contiguous, one after another.
//
// Rows of a few classes are the common case and make the shapes of this file: a row stands in vectors of its
// own, its last one padded with -infinity, so that every row takes the same instructions wherever it stands;
// a short row stays in registers from the logits to the result; and logarithms are taken of many rows' sums
// at once.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "kernels/reduce.h"
#include "kernels/vector_math.h"

namespace bpcore::kernels {

// The vectors of a row of `count` elements.
template <class T>
struct RowVectors {
  static constexpr int64_t width = simd::vector_width<T>;

  int64_t whole;         // vectors before the last
  simd::Mask<T> rest;    // of the last vector, which has 1 to `width` elements
  simd::Vec<T> padding;  // 0 in these, -infinity behind them

  explicit RowVectors(int64_t count)
      : whole((count - 1) / width), rest(static_cast<int>(count - whole * width)) {
    const simd::Vec<T> last = simd::broadcast(static_cast<T>(count - whole * width));
    padding =
        simd::count_up<T>() < last ? simd::Vec<T>{} : simd::broadcast(-std::numeric_limits<T>::infinity());
  }

  BPCORE_INLINE simd::Vec<T> load_last(const T* x) const {
    return simd::load(x + whole * width, rest) + padding;
  }
  BPCORE_INLINE void store_last(T* x, simd::Vec<T> v) const { simd::store(x + whole * width, v, rest); }
};

// By one instruction: a NaN in a is dropped, one in b kept.
template <class V>
BPCORE_INLINE V larger(V a, V b) {
  return a > b ? a : b;
}

// The exponentials of a row, shifted by its largest element, and their sum; largest and sum in every lane.
// The largest may miss a NaN, but the sum has it. Vectors: those of the row, or 0 for a long one, whose
// exponentials go to memory if `out` is not null.
template <class T, int Vectors>
struct RowExponentials {
  using Vec = simd::Vec<T>;
  Vec e[Vectors];
  Vec largest, sum;

  BPCORE_INLINE RowExponentials(const RowVectors<T>& row, const T* x, T* /*out*/) {
    e[Vectors - 1] = row.load_last(x);
    largest = e[Vectors - 1];
#pragma GCC unroll 8
    for (int i = 0; i < Vectors - 1; ++i) {
      e[i] = simd::load(x + i * row.width);
      largest = larger(e[i], largest);
    }
    largest = simd::combine_lanes<T>(largest, [](Vec a, Vec b) { return larger(a, b); });
    sum = Vec{};
#pragma GCC unroll 8
    for (int i = 0; i < Vectors; ++i) {
      e[i] = exponential_or_zero<T>(e[i] - largest);
      sum += e[i];
    }
    sum = simd::combine_lanes<T>(sum, Sum{});
  }

  // function(exponentials, number of the vector) → out
  template <class Function>
  BPCORE_INLINE void finish(const RowVectors<T>& row, T* out, Function function) const {
#pragma GCC unroll 8
    for (int i = 0; i < Vectors - 1; ++i) simd::store(out + i * row.width, function(e[i], i));
    row.store_last(out, function(e[Vectors - 1], Vectors - 1));
  }
};

template <class T>
struct RowExponentials<T, 0> {
  using Vec = simd::Vec<T>;
  Vec largest, sum;

  RowExponentials(const RowVectors<T>& row, const T* x, T* out) {
    Vec best[4];  // side by side, since each maximum waits for the one before
    for (Vec& v : best) v = row.load_last(x);
    int64_t first = 0;
    for (; first + 4 <= row.whole; first += 4) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) best[i] = larger(simd::load(x + (first + i) * row.width), best[i]);
    }
    for (; first < row.whole; ++first) best[0] = larger(simd::load(x + first * row.width), best[0]);
    best[0] = larger(larger(best[0], best[1]), larger(best[2], best[3]));
    largest = simd::combine_lanes<T>(best[0], [](Vec a, Vec b) { return larger(a, b); });
    sum = Vec{};
    constexpr int64_t block = 64;  // vectors summed by themselves, so that errors don't grow with the length
    for (int64_t begin = 0; begin < row.whole; begin += block) {
      Vec part = Vec{};
      for (int64_t i = begin; i < std::min(begin + block, row.whole); ++i) {
        const Vec e = exponential_or_zero<T>(simd::load(x + i * row.width) - largest);
        if (out != nullptr) simd::store(out + i * row.width, e);
        part += e;
      }
      sum += part;
    }
    const Vec e = exponential_or_zero<T>(row.load_last(x) - largest);
    if (out != nullptr) row.store_last(out, e);
    sum = simd::combine_lanes<T>(sum + e, Sum{});
  }

  template <class Function>
  void finish(const RowVectors<T>& row, T* out, Function function) const {
    for (int64_t i = 0; i < row.whole; ++i)
      simd::store(out + i * row.width, function(simd::load(out + i * row.width), i));
    row.store_last(out, function(simd::load(out + row.whole * row.width, row.rest), row.whole));
  }
};

// body(std::integral_constant of the number of vectors of a row), 0 for more than 4.
template <class T, class Body>
void with_row_vectors(int64_t count, Body&& body) {
  switch ((count - 1) / simd::vector_width<T>) {
    case 0:
      return body(std::integral_constant<int, 1>{});
    case 1:
      return body(std::integral_constant<int, 2>{});
    case 2:
      return body(std::integral_constant<int, 3>{});
    case 3:
      return body(std::integral_constant<int, 4>{});
    default:
      return body(std::integral_constant<int, 0>{});
  }
}

template <class T>
void softmax_rows(const T* x /* (rows, count) */, int64_t rows, int64_t count, T* out /* (rows, count) */) {
  const RowVectors<T> row(count);
  with_row_vectors<T>(count, [&](auto vectors) {
    for (int64_t i = 0; i < rows; ++i, x += count, out += count) {
      const RowExponentials<T, vectors.value> e(row, x, out);
      const simd::Vec<T> factor = T(1) / e.sum;
      e.finish(row, out, [factor](simd::Vec<T> v, int64_t) { return v * factor; });
    }
  });
}

// (softmax(x) - one_hot(label)) · seed, labels within [0, count).
template <class T>
void cross_entropy_gradient_rows(const T* x /* (rows, count) */, const int64_t* labels /* (rows) */,
                                 const T* seeds /* (rows) */, int64_t rows, int64_t count,
                                 T* out /* (rows, count) */) {
  using Vec = simd::Vec<T>;
  using Lanes = simd::Vec<simd::Lanes<T>>;
  const RowVectors<T> row(count);
  const Lanes lanes = simd::count_up<simd::Lanes<T>>();
  with_row_vectors<T>(count, [&](auto vectors) {
    for (int64_t i = 0; i < rows; ++i, x += count, out += count) {
      const RowExponentials<T, vectors.value> e(row, x, out);
      const Vec factor = T(1) / e.sum, seed = simd::broadcast(seeds[i]);
      e.finish(row, out, [&, label = labels[i]](Vec v, int64_t number) {
        const Lanes lane = static_cast<simd::Lanes<T>>(label - number * row.width) - Lanes{};
        return simd::fma(v, factor, lanes == lane ? simd::broadcast(T(-1)) : Vec{}) * seed;
      });
    }
  });
}

// How many rows' logarithms are taken at once.
constexpr int64_t log_sum_exp_block = 64;

// log Σ exp(x[i]) in two terms, to be subtracted one after the other: next to a large x, the sum of both
// would lose the small one's digits.
template <class T>
struct LogSumExp {
  T largest[log_sum_exp_block], rest[log_sum_exp_block];  // one a row

  // rows <= log_sum_exp_block
  LogSumExp(const T* x /* (rows, count) */, int64_t rows, int64_t count) {
    const RowVectors<T> row(count);
    with_row_vectors<T>(count, [&](auto vectors) {
      for (int64_t i = 0; i < rows; ++i, x += count) {
        const RowExponentials<T, vectors.value> e(row, x, nullptr);
        largest[i] = e.largest[0];
        rest[i] = e.sum[0];
      }
    });
    map_vectors<T>(rows, rest, rest, [](simd::Vec<T> sum) { return logarithm<T>(sum); });
  }
};

template <class T>
void log_softmax_rows(const T* x /* (rows, count) */, int64_t rows, int64_t count,
                      T* out /* (rows, count) */) {
  for (int64_t first = 0; first < rows; first += log_sum_exp_block) {
    const int64_t size = std::min(log_sum_exp_block, rows - first);
    const LogSumExp<T> sum(x + first * count, size, count);
    for (int64_t i = 0; i < size; ++i) {
      const T *from = x + (first + i) * count, largest = sum.largest[i], rest = sum.rest[i];
      T* to = out + (first + i) * count;
      for (int64_t j = 0; j < count; ++j) to[j] = from[j] - largest - rest;
    }
  }
}

}  // namespace bpcore::kernels
