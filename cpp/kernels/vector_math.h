// exp, expm1, log, log1p, softplus, tanh, sigmoid, erf of vectors and arrays.
//
// A value's result depends on the value alone: lanes don't meet, and the short end of an array goes through
// the same code as the rest. Products are added by an explicit fma everywhere, so that nothing is left for
// the compiler to contract here and not there.
//
// Largest errors seen, in units in the last place: of float32 over every 7th number there is, of float64 over
// 16 million random ones of all magnitudes, subnormal ones included.
//
//              with fused multiply-adds    without
//              float32   float64           float32   float64
//     exp      1.04      1.04                1.01      1.00
//     expm1    1.43      1.31                1.40      1.34
//     log      0.77      0.76                0.83      0.82
//     log1p    0.76      0.76                0.83      0.86
//              1.20      1.55                1.32      1.60   (the shorter one, from 0 to 1)
//     softplus 1.23      1.51                1.33      1.62
//     tanh     1.81      1.84                1.91      1.99
//     sigmoid  1.94      1.96                1.94      1.89
//     erf      0.98      1.10                1.24      1.42
//
// exp and softplus reach infinity, subnormal numbers and zero where they should; expm1, log1p, tanh and erf
// keep -0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

#include "kernels/lanes.h"
#include "kernels/polynomials.h"
#include "kernels/vectors.h"

namespace bpcore::kernels {

// out[i] = function(x[i]); out may be x.
template <class T, class Function>
void map_vectors(int64_t count, const T* x, T* out, Function function) {
  for_vectors<T>(count,
                 [&](int64_t i, const auto& access) { access.store(out + i, function(access.load(x + i))); });
}

// c[first] + c[first + step] x + c[first + 2 step] x² + ..., by Horner's rule.
template <class T, size_t Count>
BPCORE_INLINE simd::Vec<T> horner(simd::Vec<T> x, const T (&c)[Count], size_t first, size_t step) {
  size_t i = first + (Count - 1 - first) / step * step;
  simd::Vec<T> sum = simd::broadcast(c[i]);
#pragma GCC unroll 32
  while (i > first) {
    i -= step;
    sum = simd::fma(sum, x, simd::broadcast(c[i]));
  }
  return sum;
}

// Σ c[i] x^i. Long ones as even and odd powers: two chains of half the latency.
template <class T, size_t Count>
BPCORE_INLINE simd::Vec<T> polynomial(simd::Vec<T> x, const T (&c)[Count]) {
  if constexpr (Count < 8) return horner<T>(x, c, 0, 1);
  const simd::Vec<T> square = x * x;
  return simd::fma(horner<T>(square, c, 1, 2), x, horner<T>(square, c, 0, 2));
}

// e^x = 2^n · (1 + p + low), |p| < 0.42. Cody and Waite's reduction: x = n ln 2 + r, with ln 2 in two parts.
// `low` is what rounding took from p.
template <class T>
struct ExponentialParts {
  simd::Vec<T> n, p, low;

  BPCORE_INLINE explicit ExponentialParts(simd::Vec<T> x) {
    using C = Polynomials<T>;
    constexpr T log2_e = T(1.44269504088896340736), shift = simd::integer_shift<T>;
    n = simd::fma(x, simd::broadcast(log2_e), simd::broadcast(shift)) - shift;
    const simd::Vec<T> rough = simd::fma(n, simd::broadcast(-C::ln2_high), x);
    const simd::Vec<T> r = simd::fma(n, simd::broadcast(-C::ln2_low), rough);
    const simd::Vec<T> square = r * r, rest = polynomial<T>(r, C::exp);
    p = simd::fma(square, rest, r);
    low = simd::fma(square, rest, r - p) + simd::fma(n, simd::broadcast(-C::ln2_low), rough - r);
  }
};

template <class T>
BPCORE_INLINE simd::Vec<T> exponential(simd::Vec<T> x) {
  const ExponentialParts<T> e(simd::clamp(x, Polynomials<T>::exp_low, Polynomials<T>::exp_high));
  return simd::scale(T(1) + e.p, e.n);
}

// e^x - 1 = 2^n p + (2^n - 1), for n = 0 just p, which keeps the digits of small numbers, subnormal ones too.
// Halves of the powers, since 2^n itself may be infinite where the result is not.
template <class T>
BPCORE_INLINE simd::Vec<T> exponential_minus_one(simd::Vec<T> x) {
  using C = Polynomials<T>;
  const ExponentialParts<T> e(simd::clamp(x, C::expm1_low, C::exp_high));
  const simd::Vec<T> power = simd::power_of_two<T>(e.n - T(1));
  const simd::Vec<T> y = T(2) * simd::fma(power, e.low, simd::fma(power, e.p, power - T(0.5)));
  return simd::with_sign_of<T>(x, simd::absolute<T>(e.n == simd::Vec<T>{} ? e.p : y));
}

// e^x of x <= 0, but 0 where it is no normal number: for sums next to a one. Reaching subnormal numbers, or 0
// by underflow, takes a processor hundreds of cycles.
template <class T>
BPCORE_INLINE simd::Vec<T> exponential_or_zero(simd::Vec<T> x) {
  constexpr T low = Polynomials<T>::exp_normal;
  const ExponentialParts<T> e(simd::clamp(x, low, T(0)));
  return x < simd::broadcast(low) ? simd::Vec<T>{} : (T(1) + e.p) * simd::power_of_two<T>(e.n);
}

// k ln 2 + log(1 + f), √½ <= 1 + f <= 1.5, from log(1 + f) = 2 atanh(f / (2 + f)) in the form of fdlibm's
// e_log.c, which makes the largest term, f, exact. `excess` is what rounding has added to 1 + f, as a part of
// it, and is taken off the result.
template <class T>
BPCORE_INLINE simd::Vec<T> logarithm_of(simd::Vec<T> k, simd::Vec<T> f,
                                        simd::Vec<T> excess = simd::Vec<T>{}) {
  using C = Polynomials<T>;
  const simd::Vec<T> s = f / (T(2) + f), z = s * s, half = T(0.5) * f;
  const simd::Vec<T> rest = simd::fma(z, polynomial<T>(z, C::log), half * f);
  const simd::Vec<T> low = simd::fma(k, simd::broadcast(C::ln2_low), s * rest) - excess;
  return simd::fma(k, simd::broadcast(C::ln2_high), f - simd::fma(half, f, -low));
}

// u = 2^k · (1 + f), √½ <= 1 + f < √2, of a normal u > 0; with `bias` that of the exponent, or more where u
// has been scaled by a power of two.
template <class T>
BPCORE_INLINE void split_exponent(simd::Vec<T> u, simd::Vec<T> bias, simd::Vec<T>* k, simd::Vec<T>* f) {
  using Bits = simd::Bits<T>;
  constexpr int mantissa = simd::mantissa_bits<T>;
  constexpr Bits one = simd::exponent_bias<T> << mantissa;
  constexpr Bits root_half = sizeof(T) == 4 ? Bits(0x3f3504f3) : Bits(0x3fe6a09e667f3bcd);
  // The exponent is read as an integer in the low bits of 2^mantissa.
  constexpr T carrier = static_cast<T>(Bits{1} << mantissa);
  const simd::Vec<Bits> bits = (simd::Vec<Bits>)u + (one - root_half);
  const simd::Vec<Bits> exponent = (bits >> mantissa) | (simd::Vec<Bits>)simd::broadcast(carrier);
  *k = (simd::Vec<T>)exponent - carrier - bias;
  const simd::Vec<Bits> significand = (bits & ((Bits{1} << mantissa) - 1)) + root_half;
  *f = (simd::Vec<T>)significand - T(1);
}

// What log and log1p share where the formula ends: y of u > 0, of infinity, 0 and below, and of NaN.
template <class T>
BPCORE_INLINE simd::Vec<T> logarithm_anywhere(simd::Vec<T> u, simd::Vec<T> y) {
  using Limits = std::numeric_limits<T>;
  y = u == Limits::infinity() ? u : y;
  const simd::Vec<T> outside =
      u == simd::Vec<T>{} ? simd::broadcast(-Limits::infinity()) : simd::broadcast(Limits::quiet_NaN());
  return u > simd::Vec<T>{} ? y : outside;
}

template <class T>
BPCORE_INLINE simd::Vec<T> logarithm(simd::Vec<T> x) {
  constexpr int mantissa = simd::mantissa_bits<T>;
  constexpr T bias = static_cast<T>(simd::exponent_bias<T>);
  // Subnormal numbers are made normal first.
  const auto small = x < simd::broadcast(std::numeric_limits<T>::min());
  const simd::Vec<T> scaled = small ? x * static_cast<T>(simd::Bits<T>{1} << mantissa) : x;
  simd::Vec<T> k, f;
  split_exponent<T>(scaled, small ? simd::broadcast(bias + T(mantissa)) : simd::broadcast(bias), &k, &f);
  return logarithm_anywhere<T>(x, logarithm_of<T>(k, f));
}

// log(1 + x). What rounding has added to u = 1 + x is taken back; next to 0, where u has few digits of x or
// none, f is x itself.
template <class T>
BPCORE_INLINE simd::Vec<T> logarithm_of_one_plus(simd::Vec<T> x) {
  const simd::Vec<T> one = simd::broadcast(T(1)), u = one + x;
  const auto large = x > one;
  const simd::Vec<T> excess = (u - (large ? x : one)) - (large ? one : x);
  simd::Vec<T> k, f;
  split_exponent<T>(u, simd::broadcast(static_cast<T>(simd::exponent_bias<T>)), &k, &f);
  const auto near = k == simd::Vec<T>{};
  const simd::Vec<T> y = logarithm_of<T>(k, near ? x : f, near ? simd::Vec<T>{} : excess / u);
  return simd::with_sign_of<T>(x, simd::absolute<T>(logarithm_anywhere<T>(u, y)));
}

// log(1 + d), 0 <= d <= 1; excess as above, of 1 + d.
template <class T>
BPCORE_INLINE simd::Vec<T> logarithm_of_one_to_two(simd::Vec<T> d, simd::Vec<T> excess = simd::Vec<T>{}) {
  const auto large = d > simd::broadcast(T(0.5));  // then 1 + d = 2 (1 + (d - 1) / 2)
  return logarithm_of<T>(large ? simd::broadcast(T(1)) : simd::Vec<T>{}, large ? (d - T(1)) * T(0.5) : d,
                         excess);
}

// log(1 + e^x) = max(x, 0) + log(1 + d), d = e^-|x|, which never overflows. What rounding has added to d =
// 2^n (1 + p) is taken back, unless d is subnormal; 1 / (1 + d) for that is about 1 - d / 2.
template <class T>
BPCORE_INLINE simd::Vec<T> softplus(simd::Vec<T> x) {
  const ExponentialParts<T> e(simd::at_least(simd::negative_magnitude<T>(x), Polynomials<T>::exp_low));
  const simd::Vec<T> significand = T(1) + e.p, d = simd::scale(significand, e.n);
  const auto normal = e.n > simd::broadcast(T(std::numeric_limits<T>::min_exponent));
  const simd::Vec<T> added = ((significand - T(1)) - e.p - e.low) * simd::power_of_two<T>(e.n);
  const simd::Vec<T> excess = simd::fma(added * d, simd::broadcast(T(-0.5)), added);
  return simd::relu(x) + logarithm_of_one_to_two<T>(d, normal ? excess : simd::Vec<T>{});
}

// tanh|x| = t / (2 - t) with t = 1 - e^(-2|x|), which keeps its digits near 0. What rounding took from t and
// from the denominator is given back to first order; 1 / (2 - t) for that is (1 + tanh|x|) / 2.
template <class T>
BPCORE_INLINE simd::Vec<T> hyperbolic_tangent(simd::Vec<T> x) {
  const simd::Vec<T> half = simd::broadcast(T(0.5));
  const ExponentialParts<T> e(T(-2) * simd::at_most(simd::absolute<T>(x), Polynomials<T>::tanh_end));
  const simd::Vec<T> power = simd::power_of_two<T>(e.n), above = T(1) - power;
  const simd::Vec<T> t = simd::fma(-power, e.p, above), t_low = simd::fma(-power, e.p, above - t);
  const simd::Vec<T> denominator = T(2) - t, denominator_low = (T(2) - denominator) - t - t_low;
  const simd::Vec<T> y = t / denominator, inverse = simd::fma(y, half, half);
  const simd::Vec<T> low = simd::fma(-y, denominator_low, t_low);
  return simd::with_sign_of<T>(x, simd::absolute<T>(simd::fma(low, inverse, y)));
}

// 1 / (1 + e^-x), from d = e^-|x|, which never overflows; the denominator's rounding is given back as above,
// with 1 / (1 + d) = 1 - d / (1 + d).
template <class T>
BPCORE_INLINE simd::Vec<T> sigmoid(simd::Vec<T> x) {
  const ExponentialParts<T> e(simd::at_least(simd::negative_magnitude<T>(x), Polynomials<T>::exp_low));
  const simd::Vec<T> decay = simd::scale(T(1) + e.p, e.n);
  const simd::Vec<T> denominator = T(1) + decay, lost = decay - (denominator - T(1));
  const auto negative = x < simd::Vec<T>{};
  const simd::Vec<T> y = (negative ? decay : simd::broadcast(T(1))) / denominator;
  return simd::fma(-(y * lost), negative ? T(1) - y : y, y);
}

// x + x P(x²) up to 1, beyond it 1 - e^Q(|x| - 1): the logarithm of the complement is all but a parabola.
template <class T>
BPCORE_INLINE simd::Vec<T> error_function(simd::Vec<T> x) {
  using C = Polynomials<T>;
  const simd::Vec<T> magnitude = simd::absolute<T>(x);
  const simd::Vec<T> near = simd::fma(x, polynomial<T>(x * x, C::erf), x);
  const ExponentialParts<T> e(polynomial<T>(simd::clamp(magnitude, T(1), C::erf_end) - T(1), C::erf_tail));
  const simd::Vec<T> complement = simd::power_of_two<T>(e.n) * (T(1) + e.p);
  const simd::Vec<T> far = simd::with_sign_of<T>(x, T(1) - complement);
  return magnitude <= T(1) ? near : far;
}

}  // namespace bpcore::kernels
