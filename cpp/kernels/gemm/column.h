// Matrix times one column: a sum along each row of A, at the speed of reading A.
#pragma once

#include <cstdint>

#include "kernels/lanes.h"
#include "kernels/simd.h"

namespace bpcore::kernels {

// Rows dot products of A (Rows, k) and b (k), to c with stride c_stride. Each is the sum of `chains` vectors
// of partial sums, of which step p of k goes to vector p / vector_width mod chains, added up in a fixed
// order: a row's bits do not depend on Rows.
template <int Rows, class T>
BPCORE_INLINE void dot_rows(const T* a, int64_t a_stride, const T* b, int64_t k, T* c, int64_t c_stride) {
  constexpr int w = simd::vector_width<T>, chains = 4;
  using V = simd::Vec<T>;
  V sums[Rows][chains] = {};
  const auto add = [&](int chain, int64_t p, auto load) {
    const V column = load(b + p);
#pragma GCC unroll 4
    for (int i = 0; i < Rows; ++i)
      sums[i][chain] = simd::fma(load(a + i * a_stride + p), column, sums[i][chain]);
  };
  const auto whole = [](const T* p) { return simd::load(p); };
  int64_t p = 0;
  for (; p + chains * w <= k; p += chains * w) {
#pragma GCC unroll 4
    for (int chain = 0; chain < chains; ++chain) add(chain, p + chain * w, whole);
  }
#pragma GCC unroll 4
  for (int chain = 0; chain < chains; ++chain) {
    if (p + w <= k) {
      add(chain, p, whole);
      p += w;
    } else if (p < k) {
      const simd::Mask<T> rest(static_cast<int>(k - p));
      add(chain, p, [rest](const T* from) { return simd::load(from, rest); });
      p = k;
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < Rows; ++i) {
    const V sum = (sums[i][0] + sums[i][1]) + (sums[i][2] + sums[i][3]);
    c[i * c_stride] = simd::combine_lanes<T>(sum, [](V x, V y) { return x + y; })[0];
  }
}

// c (rows) = A (rows, k) b (k).
template <class T>
void multiply_column(const T* a, int64_t a_stride, const T* b, int64_t rows, int64_t k, T* c,
                     int64_t c_stride) {
  int64_t i = 0;
  for (; i + 2 <= rows; i += 2) dot_rows<2>(a + i * a_stride, a_stride, b, k, c + i * c_stride, c_stride);
  if (i < rows) dot_rows<1>(a + i * a_stride, a_stride, b, k, c + i * c_stride, c_stride);
}

}  // namespace bpcore::kernels
