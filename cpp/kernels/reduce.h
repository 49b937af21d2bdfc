// Sums and extremes of rows and columns, each in an order that depends on the sizes alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/simd.h"
#include "kernels/vectors.h"

namespace bpcore::kernels {

// Integers wrap around, as NumPy's do.
struct Sum {
  template <class T>
  T operator()(T total, T x) const {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(static_cast<uint64_t>(total) + static_cast<uint64_t>(x));
    else
      return total + x;
  }
};

// Extremes hand NaN through, as NumPy does: once a NaN is met it stays. As selections, they work on vectors
// too.
struct Max {
  template <class T>
  T operator()(T best, T x) const {
    return x <= best ? best : (best == best ? x : best);
  }
};
struct Min {
  template <class T>
  T operator()(T best, T x) const {
    return x >= best ? best : (best == best ? x : best);
  }
};

// Σ x or extreme over `count` neighbours: 16 running values side by side, folded in halves. Long rows are
// summed in blocks, so that rounding errors don't grow with the length. count >= 1.
template <class T, class Combine>
T reduce_row(const T* x /* (count) */, int64_t count, Combine combine) {
  constexpr int64_t lanes = 16, block = 4096;
  if (count > block) {
    const int64_t half = (count / 2 + block - 1) / block * block;
    return combine(reduce_row(x, half, combine), reduce_row(x + half, count - half, combine));
  }
  if (count < lanes) {
    T total = x[0];
    for (int64_t i = 1; i < count; ++i) total = combine(total, x[i]);
    return total;
  }
  constexpr int64_t vector = simd::vector_width<T>, vectors = lanes / vector;
  const int64_t rest = count % lanes, whole = count - rest;
  simd::Vec<T> part[vectors];
#pragma GCC unroll 16
  for (int64_t v = 0; v < vectors; ++v) part[v] = simd::load(x + v * vector);
  for (int64_t i = lanes; i < whole; i += lanes) {
#pragma GCC unroll 16
    for (int64_t v = 0; v < vectors; ++v) part[v] = combine(part[v], simd::load(x + i + v * vector));
  }
  T lane[lanes] = {};
#pragma GCC unroll 16
  for (int64_t v = 0; v < vectors; ++v) simd::store(lane + v * vector, part[v]);
  for (int64_t j = 0; j < rest; ++j) lane[j] = combine(lane[j], x[whole + j]);
  for (int64_t width = lanes / 2; width > 0; width /= 2)
    for (int64_t j = 0; j < width; ++j) lane[j] = combine(lane[j], lane[j + width]);
  return lane[0];
}

// The place of the first of the most extreme of `count` elements, `stride` apart; of the first NaN if there
// is one, as in NumPy. Without branches, which random data would mispredict.
template <class T, class Better>
int64_t first_extreme(const T* x, int64_t count, int64_t stride, Better better) {
  int64_t best = 0;
  T record = x[0];
  for (int64_t i = 1; i < count; ++i) {
    const T value = x[i * stride];
    const bool wins = (record == record) & (better(value, record) | (value != value));
    best = wins ? i : best;
    record = wins ? value : record;
  }
  return best;
}

// Columns a task of reduce_columns takes.
constexpr int64_t reduce_columns_width = 64;

// out[j] = reduction of x[0 … rows)[j] for `width` <= 64 columns; rows are `stride` apart. Rows are taken in
// blocks of 128, again so that rounding errors don't grow with their number. rows >= 1.
template <class T, class Combine>
void reduce_columns(const T* x /* (rows, width), stride apart */, int64_t rows, int64_t width, int64_t stride,
                    T* out, Combine combine) {
  constexpr int64_t block = 128;
  T total[reduce_columns_width];
  for (int64_t first = 0; first < rows; first += block) {
    T part[reduce_columns_width];
    std::copy(x + first * stride, x + first * stride + width, part);
    for (int64_t row = first + 1; row < std::min(rows, first + block); ++row) {
      const T* line = x + row * stride;
      for (int64_t j = 0; j < width; ++j) part[j] = combine(part[j], line[j]);
    }
    if (first == 0)
      std::copy(part, part + width, total);
    else
      for (int64_t j = 0; j < width; ++j) total[j] = combine(total[j], part[j]);
  }
  std::copy(total, total + width, out);
}

// sums[j] (+)= Σ of column j of x, which lies in the level-1 cache: four running sums side by side.
template <class T>
void add_columns(const T* x /* (rows, width), stride apart */, int64_t rows, int64_t width, int64_t stride,
                 bool accumulate, T* sums) {
  constexpr int64_t chains = 4;
  for_vectors<T>(width, [&](int64_t column, const auto& access) {
    simd::Vec<T> part[chains] = {};
    const T* row = x + column;
    int64_t rest = rows;
    for (; rest >= chains; rest -= chains, row += chains * stride) {
#pragma GCC unroll 4
      for (int64_t i = 0; i < chains; ++i) part[i] += access.load(row + i * stride);
    }
    for (; rest > 0; --rest, row += stride) part[0] += access.load(row);
    const simd::Vec<T> sum = (part[0] + part[1]) + (part[2] + part[3]);
    access.store(sums + column, accumulate ? access.load(sums + column) + sum : sum);
  });
}

}  // namespace bpcore::kernels
