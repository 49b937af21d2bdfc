// Normalisation of rows: (x - mean) / sqrt(variance + eps), or x / sqrt(mean(x²) + eps), scaled and shifted.
//
// A row is read several times, from the level-1 cache: its mean first, then what is left of it, so that the
// digits of values close to each other are not lost. A mean of large values, rounded, may lie as far from the
// true one as the values do; their differences from it are exact, and so the mean of those makes up for it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/lanes.h"
#include "kernels/reduce.h"
#include "kernels/simd.h"
#include "kernels/vectors.h"

namespace bpcore::kernels {

// Sums of `Terms` values over a row: terms(place, access, sums) adds a vector's. Four chains side by side, in
// blocks of 64 vectors, so that rounding errors don't grow with the length.
template <class T, int Terms, class Function>
BPCORE_INLINE void sum_row(int64_t count, T (&result)[Terms], Function terms) {
  using Vec = simd::Vec<T>;
  constexpr int64_t w = simd::vector_width<T>, chains = 4, block = 64 * w;
  Vec total[Terms] = {};
  for (int64_t begin = 0; begin < count; begin += block) {
    Vec part[chains][Terms] = {};
    const int64_t end = std::min(count, begin + block);
    int64_t i = begin;
    for (; i + chains * w <= end; i += chains * w) {
#pragma GCC unroll 4
      for (int64_t chain = 0; chain < chains; ++chain) terms(i + chain * w, WholeVector<T>{}, part[chain]);
    }
#pragma GCC unroll 4
    for (int64_t chain = 0; chain < chains; ++chain, i += w) {
      if (i + w <= end)
        terms(i, WholeVector<T>{}, part[chain]);
      else if (i < end)
        terms(i, LastVector<T>(end - i), part[chain]);
    }
#pragma GCC unroll 4
    for (int term = 0; term < Terms; ++term)
      total[term] += (part[0][term] + part[1][term]) + (part[2][term] + part[3][term]);
  }
#pragma GCC unroll 4
  for (int term = 0; term < Terms; ++term) result[term] = simd::combine_lanes<T>(total[term], Sum{})[0];
}

// What a row is normalised by: x becomes ((x - mean) - rest) · factor; without `Centred`, x · factor.
template <class T, bool Centred>
struct RowMoments {
  T mean = T(0), rest = T(0), factor = T(0);

  // The mean, by shares: large values' sum might overflow.
  BPCORE_INLINE void centre(const T* x, int64_t count) {
    if constexpr (Centred) {
      T sum[1];
      const simd::Vec<T> share = simd::broadcast(T(1) / static_cast<T>(count));
      sum_row<T>(count, sum, [&](int64_t i, auto access, auto& sums) {
        sums[0] = simd::fma(access.load(x + i), share, sums[0]);
      });
      mean = sum[0];
    }
  }

  // The rest and the factor.
  BPCORE_INLINE void scale(const T* x, int64_t count, T eps) {
    T sums[2];
    sum_row<T>(count, sums, [&](int64_t i, auto access, auto& parts) {
      const simd::Vec<T> value = access.keep(access.load(x + i) - mean);
      if constexpr (Centred) parts[0] += value;
      parts[1] = simd::fma(value, value, parts[1]);
    });
    const T size = static_cast<T>(count);
    T square = sums[1] / size;
    if constexpr (Centred) {
      rest = sums[0] / size;
      // Squares of what rounding leaves of very large values may overflow: the factor is zero then, not NaN.
      if (square <= std::numeric_limits<T>::max()) square = std::max(T(0), square - rest * rest);
    }
    factor = T(1) / std::sqrt(square + eps);
  }

  BPCORE_INLINE simd::Vec<T> difference(simd::Vec<T> x) const {
    if constexpr (Centred) return (x - mean) - rest;
    return x;
  }
};

// Rows are taken through each step several at a time, since a row alone would wait for one sum after the
// other: as many as stay in the level-1 cache.
constexpr int64_t most_norm_rows = 8;

template <class T>
int64_t norm_rows(int64_t count) {
  constexpr int64_t bytes = 8 << 10;
  return std::clamp<int64_t>(bytes / (count * static_cast<int64_t>(sizeof(T))), 1, most_norm_rows);
}

template <class T, bool Centred>
BPCORE_INLINE void find_moments(const T* x /* (rows, count) */, int64_t rows, int64_t count, T eps,
                                RowMoments<T, Centred>* moments /* (rows) */) {
  for (int64_t row = 0; row < rows; ++row) moments[row].centre(x + row * count, count);
  for (int64_t row = 0; row < rows; ++row) moments[row].scale(x + row * count, count, eps);
}

// weight (count) and bias (count) may be null.
template <class T, bool Centred>
void normalize_rows(const T* x /* (rows, count) */, const T* weight, const T* bias, int64_t rows,
                    int64_t count, T eps, T* out /* (rows, count) */) {
  RowMoments<T, Centred> moments[most_norm_rows];
  const int64_t block = norm_rows<T>(count);
  for (int64_t begin = 0; begin < rows; begin += block) {
    const int64_t size = std::min(block, rows - begin);
    find_moments(x, size, count, eps, moments);
    for (int64_t row = 0; row < size; ++row, x += count, out += count) {
      for_vectors<T>(count, [&](int64_t i, auto access) {
        simd::Vec<T> y = moments[row].difference(access.load(x + i)) * moments[row].factor;
        if (weight != nullptr) y = y * access.load(weight + i);
        if (bias != nullptr) y = y + access.load(bias + i);
        access.store(out + i, y);
      });
    }
  }
}

// The gradient by x, and what these rows add to those by weight and bias, where these are not null. With n
// the normalised x and h = seed · weight, that by x is (h - mean(h) - n · mean(h · n)) · factor; without
// `Centred`, there is no mean(h).
template <class T, bool Centred>
void normalize_rows_gradient(const T* x /* (rows, count) */, const T* weight,
                             const T* seed /* (rows, count) */, int64_t rows, int64_t count, T eps,
                             T* dx /* (rows, count) */, T* dweight, T* dbias) {
  using Vec = simd::Vec<T>;
  if (dweight != nullptr) std::fill_n(dweight, count, T(0));
  if (dbias != nullptr) std::fill_n(dbias, count, T(0));
  RowMoments<T, Centred> moments[most_norm_rows];
  T mean[most_norm_rows], share[most_norm_rows];  // of h; of n in h · factor
  const int64_t block = norm_rows<T>(count);
  for (int64_t begin = 0; begin < rows; begin += block) {
    const int64_t size = std::min(block, rows - begin);
    find_moments(x, size, count, eps, moments);
    for (int64_t row = 0; row < size; ++row) {
      const RowMoments<T, Centred>& own = moments[row];
      T sums[2];
      sum_row<T>(count, sums, [&](int64_t i, auto access, auto& parts) {
        const int64_t at = row * count + i;
        simd::prefetch_to_write(dx + at);  // there when it is written, which is not in its order
        Vec h = access.load(seed + at);
        if (weight != nullptr) h = h * access.load(weight + i);
        parts[0] += h;
        parts[1] = simd::fma(h, own.difference(access.load(x + at)), parts[1]);
      });
      const T width = static_cast<T>(count);
      mean[row] = sums[0] / width;
      share[row] = sums[1] / width * own.factor * own.factor;
    }
    // Column by column, so that the sums over rows stay in registers.
    for_vectors<T>(count, [&](int64_t i, auto access) {
      const bool sums_weight = dweight != nullptr, sums_bias = dbias != nullptr;
      const Vec scale = weight != nullptr ? access.load(weight + i) : simd::broadcast(T(1));
      Vec by_weight = sums_weight ? access.load(dweight + i) : Vec{};
      Vec by_bias = sums_bias ? access.load(dbias + i) : Vec{};
      for (int64_t row = 0; row < size; ++row) {
        const int64_t at = row * count + i;
        const RowMoments<T, Centred>& own = moments[row];
        const Vec g = access.load(seed + at), difference = own.difference(access.load(x + at));
        Vec h = g * scale;
        if constexpr (Centred) h -= mean[row];
        access.store(dx + at, simd::fma(difference, simd::broadcast(-share[row]), h) * own.factor);
        by_weight = simd::fma(g, difference * own.factor, by_weight);
        by_bias += g;
      }
      if (sums_weight) access.store(dweight + i, by_weight);
      if (sums_bias) access.store(dbias + i, by_bias);
    });
    x += size * count;
    seed += size * count;
    dx += size * count;
  }
}

}  // namespace bpcore::kernels
