// The one vector wrapper of the project: GCC/Clang vector extensions as wide as the instruction set this
// file is compiled for, with intrinsics only where the extensions have no word for it (fused multiply-add,
// masked loads, interleaving). Operators (+ - * / < ?:) work on Vec<T> directly, lane by lane.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

// Vectors must stay in registers, so nothing here may become a call.
#define BPCORE_INLINE [[gnu::always_inline]] inline

namespace bpcore::kernels::simd {

#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
inline constexpr int vector_bytes = 32;
#else
inline constexpr int vector_bytes = 16;
#endif

template <class T>
struct VecOf {
  typedef T type __attribute__((vector_size(vector_bytes)));
};
template <class T>
using Vec = typename VecOf<T>::type;

template <class T>
inline constexpr int vector_width = vector_bytes / static_cast<int>(sizeof(T));  // elements of a vector
template <class T>
inline constexpr int lane_width = 16 / static_cast<int>(sizeof(T));  // elements of a 16-byte lane

template <class T>
BPCORE_INLINE Vec<T> load(const T* p) {
  Vec<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
BPCORE_INLINE void store(T* p, Vec<T> v) {
  std::memcpy(p, &v, sizeof v);
}

// x - 0 and not 0 + x: only the first keeps -0, so that compilers may drop the arithmetic.
template <class T>
BPCORE_INLINE Vec<T> broadcast(T x) {
  return x - Vec<T>{};
}

template <class V>
BPCORE_INLINE V relu(V x) {  // NaN stays NaN, -0 becomes 0
  return x <= V{} ? V{} : x;
}

// ---- Fused multiply-add: a * b + c, rounded once wherever the hardware can ----

#if defined(__AVX512F__)
BPCORE_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return _mm512_fmadd_ps(a, b, c); }
BPCORE_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return _mm512_fmadd_pd(a, b, c);
}
#elif defined(__AVX2__) && defined(__FMA__)
BPCORE_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return _mm256_fmadd_ps(a, b, c); }
BPCORE_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
  return _mm256_fmadd_pd(a, b, c);
}
#elif defined(__aarch64__)
BPCORE_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return vfmaq_f32(c, a, b); }
BPCORE_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return vfmaq_f64(c, a, b); }
#elif defined(__SSE2__) && !defined(__FMA__)
// No such instruction: nothing for the compiler to contract, so this is two roundings everywhere.
template <class V>
BPCORE_INLINE V fma(V a, V b, V c) {
  return a * b + c;
}
#else
// Lane by lane through the C library's name for it, which the compiler turns into its own instruction.
template <class V>
BPCORE_INLINE V fma(V a, V b, V c) {
  for (unsigned i = 0; i < sizeof(V) / sizeof(a[0]); ++i) {
    if constexpr (sizeof(a[0]) == sizeof(float)) {
      c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    } else {
      c[i] = __builtin_fma(a[i], b[i], c[i]);
    }
  }
  return c;
}
#endif

// ---- The first lanes of a vector: nothing is read or written beyond them; the others load as zero ----

#if defined(__AVX512F__)
template <class T>
struct Mask {
  __mmask16 bits;
  BPCORE_INLINE explicit Mask(int count) : bits(static_cast<__mmask16>((1u << count) - 1u)) {}
};
BPCORE_INLINE Vec<float> load(const float* p, Mask<float> m) { return _mm512_maskz_loadu_ps(m.bits, p); }
BPCORE_INLINE Vec<double> load(const double* p, Mask<double> m) {
  return _mm512_maskz_loadu_pd(static_cast<__mmask8>(m.bits), p);
}
BPCORE_INLINE void store(float* p, Vec<float> v, Mask<float> m) { _mm512_mask_storeu_ps(p, m.bits, v); }
BPCORE_INLINE void store(double* p, Vec<double> v, Mask<double> m) {
  _mm512_mask_storeu_pd(p, static_cast<__mmask8>(m.bits), v);
}
#elif defined(__AVX2__)
template <class T>
struct Mask {
  // A window that slides over ones followed by zeros, in 32-bit units.
  static constexpr int32_t ones_then_zeros[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
  __m256i bits;
  BPCORE_INLINE explicit Mask(int count) {
    std::memcpy(&bits, ones_then_zeros + 8 - count * static_cast<int>(sizeof(T) / 4), sizeof bits);
  }
};
BPCORE_INLINE Vec<float> load(const float* p, Mask<float> m) { return _mm256_maskload_ps(p, m.bits); }
BPCORE_INLINE Vec<double> load(const double* p, Mask<double> m) { return _mm256_maskload_pd(p, m.bits); }
BPCORE_INLINE void store(float* p, Vec<float> v, Mask<float> m) { _mm256_maskstore_ps(p, m.bits, v); }
BPCORE_INLINE void store(double* p, Vec<double> v, Mask<double> m) { _mm256_maskstore_pd(p, m.bits, v); }
#else
template <class T>
struct Mask {
  int count;
  BPCORE_INLINE explicit Mask(int count_) : count(count_) {}
};
template <class T>
BPCORE_INLINE Vec<T> load(const T* p, Mask<T> m) {
  // From scalars in registers: a vector that memory got in pieces would be waited for.
  if (m.count == vector_width<T>) return load(p);
  if constexpr (vector_width<T> > 2) {
    if (m.count == 3) return Vec<T>{p[0], p[1], p[2]};
    if (m.count == 2) return Vec<T>{p[0], p[1]};
  }
  return m.count == 1 ? Vec<T>{p[0]} : Vec<T>{};
}
template <class T>
BPCORE_INLINE void store(T* p, Vec<T> v, Mask<T> m) {
  if (m.count == vector_width<T>) return store(p, v);
  for (int i = 0; i < m.count; ++i) p[i] = v[i];
}
#endif

// ---- Transposing: 16-byte pieces of rows go straight to their lane, the rest happens inside lanes ----

// The low (high) halves of each lane of a and b, interleaved: a0 b0 a1 b1 of floats, a0 b0 of doubles.
#if defined(__AVX512F__)
// Full masks: the plain intrinsics make GCC 12 warn of uninitialised values in its own header.
BPCORE_INLINE Vec<float> interleave_low(Vec<float> a, Vec<float> b) {
  return _mm512_maskz_unpacklo_ps(0xffff, a, b);
}
BPCORE_INLINE Vec<float> interleave_high(Vec<float> a, Vec<float> b) {
  return _mm512_maskz_unpackhi_ps(0xffff, a, b);
}
BPCORE_INLINE Vec<double> interleave_low(Vec<double> a, Vec<double> b) {
  return _mm512_maskz_unpacklo_pd(0xff, a, b);
}
BPCORE_INLINE Vec<double> interleave_high(Vec<double> a, Vec<double> b) {
  return _mm512_maskz_unpackhi_pd(0xff, a, b);
}
#elif defined(__AVX2__)
BPCORE_INLINE Vec<float> interleave_low(Vec<float> a, Vec<float> b) { return _mm256_unpacklo_ps(a, b); }
BPCORE_INLINE Vec<float> interleave_high(Vec<float> a, Vec<float> b) { return _mm256_unpackhi_ps(a, b); }
BPCORE_INLINE Vec<double> interleave_low(Vec<double> a, Vec<double> b) { return _mm256_unpacklo_pd(a, b); }
BPCORE_INLINE Vec<double> interleave_high(Vec<double> a, Vec<double> b) { return _mm256_unpackhi_pd(a, b); }
#else
BPCORE_INLINE Vec<float> interleave_low(Vec<float> a, Vec<float> b) {
  return Vec<float>{a[0], b[0], a[1], b[1]};
}
BPCORE_INLINE Vec<float> interleave_high(Vec<float> a, Vec<float> b) {
  return Vec<float>{a[2], b[2], a[3], b[3]};
}
BPCORE_INLINE Vec<double> interleave_low(Vec<double> a, Vec<double> b) { return Vec<double>{a[0], b[0]}; }
BPCORE_INLINE Vec<double> interleave_high(Vec<double> a, Vec<double> b) { return Vec<double>{a[1], b[1]}; }
#endif

// v with the 16 bytes at p in lane `Lane`: a memory operand of a blend, no shuffle.
template <int Lane, class T>
BPCORE_INLINE Vec<T> insert_lane(Vec<T> v, const T* p) {
#if defined(__AVX512F__)
  __m128 piece;
  std::memcpy(&piece, p, sizeof piece);
  if constexpr (Lane == 0) return (Vec<T>)_mm512_zextps128_ps512(piece);
  return (Vec<T>)_mm512_insertf32x4((__m512)v, piece, Lane);
#elif defined(__AVX2__)
  __m128 piece;
  std::memcpy(&piece, p, sizeof piece);
  if constexpr (Lane == 0) return (Vec<T>)_mm256_zextps128_ps256(piece);
  return (Vec<T>)_mm256_insertf128_ps((__m256)v, piece, Lane);
#else
  static_assert(Lane == 0);
  std::memcpy(&v, p, sizeof v);
  return v;
#endif
}

// source (Rows, lane_width) with stride `source_stride`, Rows <= vector_width -> target (lane_width, Rows),
// its transpose, with stride `target_stride`. Narrower vectors than AVX-512's are stored whole, so that
// stride must be >= vector_width.
template <int Rows, class T>
BPCORE_INLINE void transpose_group(const T* source, int64_t source_stride, T* target, int64_t target_stride) {
  constexpr int q = lane_width<T>;
  const auto put = [target, target_stride](int column, Vec<T> v) {
    if constexpr (vector_bytes == 64 &&
                  Rows < vector_width<T>) {  // masked stores are cheap there, and only there
      store(target + column * target_stride, v, Mask<T>(Rows));
    } else {
      store(target + column * target_stride, v);
    }
  };
  Vec<T> r[q];
#pragma GCC unroll 4
  for (int i = 0; i < q; ++i) {  // r[i] holds rows i, i + q, i + 2 q, ..., one a lane
    const T* row = source + i * source_stride;
    r[i] = Vec<T>{};
    if (i < Rows) r[i] = insert_lane<0, T>(r[i], row);
    if constexpr (vector_bytes > 16) {
      if (i + q < Rows) r[i] = insert_lane<1, T>(r[i], row + q * source_stride);
    }
    if constexpr (vector_bytes > 32) {
      if (i + 2 * q < Rows) r[i] = insert_lane<2, T>(r[i], row + 2 * q * source_stride);
      if (i + 3 * q < Rows) r[i] = insert_lane<3, T>(r[i], row + 3 * q * source_stride);
    }
  }
  if constexpr (q == 2) {
    put(0, interleave_low(r[0], r[1]));
    put(1, interleave_high(r[0], r[1]));
  } else {
    const Vec<double> low01 = (Vec<double>)interleave_low(r[0], r[1]);
    const Vec<double> low23 = (Vec<double>)interleave_low(r[2], r[3]);
    const Vec<double> high01 = (Vec<double>)interleave_high(r[0], r[1]);
    const Vec<double> high23 = (Vec<double>)interleave_high(r[2], r[3]);
    put(0, (Vec<T>)interleave_low(low01, low23));
    put(1, (Vec<T>)interleave_high(low01, low23));
    put(2, (Vec<T>)interleave_low(high01, high23));
    put(3, (Vec<T>)interleave_high(high01, high23));
  }
}

}  // namespace bpcore::kernels::simd
