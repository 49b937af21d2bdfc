// Transposing small blocks: 16-byte pieces of rows go straight to their lane of a vector, the rest happens
// inside lanes. Blocks of few rows take narrower vectors, so that every store is a whole one.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/simd.h"

namespace bpcore::kernels::simd {

template <class T>
inline constexpr int lane_width = 16 / static_cast<int>(sizeof(T));  // elements of a 16-byte lane

// The low (high) halves of each lane of a and b, interleaved: a0 b0 a1 b1 of floats, a0 b0 of doubles.
BPCORE_INLINE Vec<float, 16> interleave_low(Vec<float, 16> a, Vec<float, 16> b) {
  return Vec<float, 16>{a[0], b[0], a[1], b[1]};
}
BPCORE_INLINE Vec<float, 16> interleave_high(Vec<float, 16> a, Vec<float, 16> b) {
  return Vec<float, 16>{a[2], b[2], a[3], b[3]};
}
BPCORE_INLINE Vec<double, 16> interleave_low(Vec<double, 16> a, Vec<double, 16> b) {
  return Vec<double, 16>{a[0], b[0]};
}
BPCORE_INLINE Vec<double, 16> interleave_high(Vec<double, 16> a, Vec<double, 16> b) {
  return Vec<double, 16>{a[1], b[1]};
}
#if defined(__AVX2__)
BPCORE_INLINE Vec<float, 32> interleave_low(Vec<float, 32> a, Vec<float, 32> b) {
  return _mm256_unpacklo_ps(a, b);
}
BPCORE_INLINE Vec<float, 32> interleave_high(Vec<float, 32> a, Vec<float, 32> b) {
  return _mm256_unpackhi_ps(a, b);
}
BPCORE_INLINE Vec<double, 32> interleave_low(Vec<double, 32> a, Vec<double, 32> b) {
  return _mm256_unpacklo_pd(a, b);
}
BPCORE_INLINE Vec<double, 32> interleave_high(Vec<double, 32> a, Vec<double, 32> b) {
  return _mm256_unpackhi_pd(a, b);
}
#endif
#if defined(__AVX512F__)
// Full masks: the plain intrinsics make GCC 12 warn of uninitialised values in its own header.
BPCORE_INLINE Vec<float, 64> interleave_low(Vec<float, 64> a, Vec<float, 64> b) {
  return _mm512_maskz_unpacklo_ps(0xffff, a, b);
}
BPCORE_INLINE Vec<float, 64> interleave_high(Vec<float, 64> a, Vec<float, 64> b) {
  return _mm512_maskz_unpackhi_ps(0xffff, a, b);
}
BPCORE_INLINE Vec<double, 64> interleave_low(Vec<double, 64> a, Vec<double, 64> b) {
  return _mm512_maskz_unpacklo_pd(0xff, a, b);
}
BPCORE_INLINE Vec<double, 64> interleave_high(Vec<double, 64> a, Vec<double, 64> b) {
  return _mm512_maskz_unpackhi_pd(0xff, a, b);
}
#endif

// The 16 bytes at `rows`, and those `step` elements further, ... in the lanes of a vector: memory operands of
// blends, no shuffle. The last lanes stay zero if there are fewer than `count` such rows.
template <int bytes, class T>
BPCORE_INLINE Vec<T, bytes> load_lanes(const T* rows, [[maybe_unused]] int64_t step, int count) {
  if constexpr (bytes == 16) {
    Vec<T, 16> v{};
    if (count > 0) std::memcpy(&v, rows, sizeof v);
    return v;
#if defined(__AVX2__)
  } else {
    const auto piece = [rows, step](int lane) {
      __m128 value;
      std::memcpy(&value, rows + lane * step, sizeof value);
      return value;
    };
#if defined(__AVX512F__)
    if constexpr (bytes == 64) {
      __m512 v = count > 0 ? _mm512_zextps128_ps512(piece(0)) : __m512{};
      if (count > 1) v = _mm512_insertf32x4(v, piece(1), 1);
      if (count > 2) v = _mm512_insertf32x4(v, piece(2), 2);
      if (count > 3) v = _mm512_insertf32x4(v, piece(3), 3);
      return (Vec<T, 64>)v;
    } else
#endif
    {
      __m256 v = count > 0 ? _mm256_zextps128_ps256(piece(0)) : __m256{};
      if (count > 1) v = _mm256_insertf128_ps(v, piece(1), 1);
      return (Vec<T, 32>)v;
    }
#endif
  }
}

// Bytes of the narrowest vector that holds `rows` elements of T.
template <class T, int rows>
inline constexpr int column_bytes = rows * sizeof(T) <= 16   ? 16
                                    : rows * sizeof(T) <= 32 ? 32
                                                             : 64;

// r[i], i < lane_width, has rows i, i + lane_width, i + 2 lane_width, ... of a matrix (rows, lane_width), one
// a lane. Afterwards r[p] is its column p.
template <class T, int bytes>
BPCORE_INLINE void transpose_lanes(Vec<T, bytes> (&r)[lane_width<T>]) {
  using V = Vec<T, bytes>;
  using Pairs = Vec<double, bytes>;
  if constexpr (lane_width<T> == 2) {
    const V first = interleave_low(r[0], r[1]);
    r[1] = interleave_high(r[0], r[1]);
    r[0] = first;
  } else {
    const Pairs low01 = (Pairs)interleave_low(r[0], r[1]), low23 = (Pairs)interleave_low(r[2], r[3]);
    const Pairs high01 = (Pairs)interleave_high(r[0], r[1]), high23 = (Pairs)interleave_high(r[2], r[3]);
    r[0] = (V)interleave_low(low01, low23);
    r[1] = (V)interleave_high(low01, low23);
    r[2] = (V)interleave_low(high01, high23);
    r[3] = (V)interleave_high(high01, high23);
  }
}

// source (rows, lane_width) with stride `source_stride`, rows <= vector_width -> target (lane_width, rows),
// its transpose, with stride `target_stride`. What follows a row of the target, up to column_bytes, is
// overwritten.
template <int rows, class T>
BPCORE_INLINE void transpose_group(const T* source, int64_t source_stride, T* target, int64_t target_stride) {
  constexpr int q = lane_width<T>, bytes = column_bytes<T, rows>;
  static_assert(bytes <= vector_bytes);
  Vec<T, bytes> r[q];
#pragma GCC unroll 4
  for (int i = 0; i < q; ++i)
    r[i] = load_lanes<bytes>(source + i * source_stride, q * source_stride, (rows - i + q - 1) / q);
  transpose_lanes<T, bytes>(r);
#pragma GCC unroll 4
  for (int column = 0; column < q; ++column)
    std::memcpy(target + column * target_stride, &r[column], sizeof r[column]);
}

}  // namespace bpcore::kernels::simd
