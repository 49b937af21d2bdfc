// gelu and its derivative on vectors.
#pragma once

#include "kernels/vector_math.h"

namespace bpcore::kernels {

// Φ(x), the normal distribution function, with an absolute error of about a machine epsilon, and e^(-x²/2),
// which is √(2π) times its density.
template <class T>
struct NormalDistribution {
  simd::Vec<T> distribution, bell;

  BPCORE_INLINE explicit NormalDistribution(simd::Vec<T> x)
      : distribution(T(0.5) * (T(1) + error_function<T>(x * T(0.70710678118654752440)))),
        bell(exponential_or_zero<T>(x * x * T(-0.5))) {}
};

// Φ(-|x|) as a polynomial times the exponential that the density needs, too. An error of a part of the bell
// is none of Φ, so ln 2 need not be in two parts; and 2^n is made from what has rounded n, see power_of_two.
template <>
struct NormalDistribution<float> {
  simd::Vec<float> distribution, bell;

  BPCORE_INLINE explicit NormalDistribution(simd::Vec<float> x) {
    using C = Polynomials<float>;
    using Vec = simd::Vec<float>;
    constexpr float log2_e = 1.44269504088896340736f, ln2 = 0.69314718055994530942f;
    constexpr float shift = simd::integer_shift<float> + static_cast<float>(simd::exponent_bias<float>);
    constexpr float end = -2 * C::exp_normal;
    const Vec square = x * x, most = simd::broadcast(end);
    const Vec within = most < square ? most : square;  // NaN stays
    const Vec shifted = simd::fma(within, simd::broadcast(-0.5f * log2_e), simd::broadcast(shift));
    const Vec r = simd::fma(shifted - shift, simd::broadcast(-ln2), within * -0.5f);
    const Vec power = simd::fma(r * r, polynomial<float>(r, C::exp), r) + 1.0f;
    const Vec scale = (Vec)((simd::Vec<simd::Bits<float>>)shifted << simd::mantissa_bits<float>);
    bell = square > most ? Vec{} : power * scale;
    const Vec magnitude = simd::absolute<float>(x), last = simd::broadcast(C::normal_end);
    // Not as even and odd powers: their sums are large, and cancel.
    const Vec part = horner<float>(last < magnitude ? last : magnitude, C::normal, 0, 1);
    distribution = x < Vec{} ? bell * part : simd::fma(-bell, part, simd::broadcast(1.0f));
  }
};

// x · Φ(x)
template <class T>
BPCORE_INLINE simd::Vec<T> gelu(simd::Vec<T> x) {
  return x * NormalDistribution<T>(x).distribution;
}

// Φ(x) + x · φ(x), φ the density of Φ.
template <class T>
BPCORE_INLINE simd::Vec<T> gelu_slope(simd::Vec<T> x) {
  const NormalDistribution<T> normal(x);
  return simd::fma(x, normal.bell * T(0.39894228040143267794), normal.distribution);
}

// out[i] = seed[i] · the slope at x[i]
template <class T>
void gelu_gradient(int64_t count, const T* seed, const T* x, T* out) {
  for_vectors<T>(count, [&](int64_t i, const auto& access) {
    access.store(out + i, access.load(seed + i) * gelu_slope<T>(access.load(x + i)));
  });
}

}  // namespace bpcore::kernels
