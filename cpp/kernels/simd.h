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

template <class T, int bytes>
struct VecOf {
  typedef T type __attribute__((vector_size(bytes)));
};
template <class T, int bytes = vector_bytes>
using Vec = typename VecOf<T, bytes>::type;

template <class T>
inline constexpr int vector_width = vector_bytes / static_cast<int>(sizeof(T));  // elements of a vector

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

inline constexpr int64_t line_bytes = 64;  // of the caches

BPCORE_INLINE void prefetch(const void* p) { __builtin_prefetch(p, 0); }
// Into the level-2 cache: many more of these can be under way at once.
BPCORE_INLINE void prefetch_far(const void* p) { __builtin_prefetch(p, 0, 2); }
BPCORE_INLINE void prefetch_to_write(const void* p) { __builtin_prefetch(p, 1); }

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

// ---- Square root, exactly rounded ----

#if defined(__AVX512F__)
BPCORE_INLINE Vec<float> square_root(Vec<float> x) { return _mm512_sqrt_ps(x); }
BPCORE_INLINE Vec<double> square_root(Vec<double> x) { return _mm512_sqrt_pd(x); }
#elif defined(__AVX2__)
BPCORE_INLINE Vec<float> square_root(Vec<float> x) { return _mm256_sqrt_ps(x); }
BPCORE_INLINE Vec<double> square_root(Vec<double> x) { return _mm256_sqrt_pd(x); }
#elif defined(__SSE2__)
BPCORE_INLINE Vec<float> square_root(Vec<float> x) { return _mm_sqrt_ps(x); }
BPCORE_INLINE Vec<double> square_root(Vec<double> x) { return _mm_sqrt_pd(x); }
#elif defined(__aarch64__)
BPCORE_INLINE Vec<float> square_root(Vec<float> x) { return vsqrtq_f32(x); }
BPCORE_INLINE Vec<double> square_root(Vec<double> x) { return vsqrtq_f64(x); }
#else
BPCORE_INLINE Vec<float> square_root(Vec<float> x) {
  for (int i = 0; i < vector_width<float>; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
}
BPCORE_INLINE Vec<double> square_root(Vec<double> x) {
  for (int i = 0; i < vector_width<double>; ++i) x[i] = __builtin_sqrt(x[i]);
  return x;
}
#endif

// ---- The product, in 64 bits, of the lower half of each lane with a number of 32 bits ----

#if defined(__AVX512F__)
BPCORE_INLINE Vec<uint64_t> multiply_lower(Vec<uint64_t> a, uint32_t b) {
  return (Vec<uint64_t>)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(b));
}
#elif defined(__AVX2__)
BPCORE_INLINE Vec<uint64_t> multiply_lower(Vec<uint64_t> a, uint32_t b) {
  return (Vec<uint64_t>)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(b));
}
#elif defined(__SSE2__)
BPCORE_INLINE Vec<uint64_t> multiply_lower(Vec<uint64_t> a, uint32_t b) {
  return (Vec<uint64_t>)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x(b));
}
#elif defined(__aarch64__)
BPCORE_INLINE Vec<uint64_t> multiply_lower(Vec<uint64_t> a, uint32_t b) {
  return (Vec<uint64_t>)vmull_u32(vmovn_u64((uint64x2_t)a), vdup_n_u32(b));
}
#else
BPCORE_INLINE Vec<uint64_t> multiply_lower(Vec<uint64_t> a, uint32_t b) {
  return (a & 0xffffffff) * uint64_t{b};
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

}  // namespace bpcore::kernels::simd
