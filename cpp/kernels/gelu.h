// gelu and its derivative on vectors.
#pragma once

#include "kernels/vector_math.h"

namespace bpcore::kernels {

// Φ(x), the normal distribution function; its absolute error is about a machine epsilon.
template <class T>
BPCORE_INLINE simd::Vec<T> normal_distribution(simd::Vec<T> x) {
  return T(0.5) * (T(1) + error_function<T>(x * T(0.70710678118654752440)));
}

// x · Φ(x)
template <class T>
BPCORE_INLINE simd::Vec<T> gelu(simd::Vec<T> x) {
  return x * normal_distribution<T>(x);
}

// Φ(x) + x · φ(x), φ the density of Φ.
template <class T>
BPCORE_INLINE simd::Vec<T> gelu_slope(simd::Vec<T> x) {
  const simd::Vec<T> density = exponential_or_zero<T>(x * x * T(-0.5)) * T(0.39894228040143267794);
  return simd::fma(x, density, normal_distribution<T>(x));
}

// out[i] = seed[i] · the slope at x[i]
template <class T>
void gelu_gradient(int64_t count, const T* seed, const T* x, T* out) {
  constexpr int64_t width = simd::vector_width<T>;
  int64_t i = 0;
  for (; i + width <= count; i += width)
    simd::store(out + i, simd::load(seed + i) * gelu_slope<T>(simd::load(x + i)));
  if (i == count) return;
  const simd::Mask<T> rest(static_cast<int>(count - i));
  simd::store(out + i, simd::load(seed + i, rest) * gelu_slope<T>(simd::load(x + i, rest)), rest);
}

}  // namespace bpcore::kernels
