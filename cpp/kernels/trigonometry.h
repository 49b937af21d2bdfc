// sin and cos of arrays, of all numbers there are.
//
// Up to 2^20, arguments are reduced by multiples of π/2 or π, which Cody and Waite's parts hold: a product of
// a part and a number of 20 bits is exact, so that fused multiply-adds and plain ones give the same. Beyond,
// the C library takes over, an element at a time. It is the value that decides, so an element's result does
// not depend on the others. float32 is computed in float64, where nothing needs to be given back.
//
// Largest errors seen, in units in the last place, over the numbers that vector_math.h names: 0.51 of float32
// and 0.95 of float64. sin keeps -0, sin(-x) is -sin(x), and cos(-x) is cos(x), to the bit.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/lanes.h"
#include "kernels/vector_math.h"
#include "kernels/vectors.h"

namespace bpcore::kernels {

enum class Wave { Sin, Cos };

constexpr double wave_end = 0x1p20;  // the largest argument of the vector functions

// The polynomials are minimax approximations, found as those of polynomials.h.
struct WaveParts {
  // π in parts of 33 bits, the last of 53; and what is left behind the first.
  static constexpr double pi[] = {0x1.921fb544p+1, 0x1.0b4611a6p-33, 0x1.3198a2ep-68, 0x1.b839a252049c1p-103};
  static constexpr double pi_rest = 1.2154201013012384e-10;
  static constexpr double inverse_pi = 0.31830988618379067;

  // (sin(√z) / √z - 1) / z, √z <= π/2; sin with it has a relative error of 2^-35.
  static constexpr double half_wave[] = {-1.66666666261491014e-01, 8.33333110857945383e-03,
                                         -1.98408682067319604e-04, 2.75253842589404058e-06,
                                         -2.38889063090650571e-08};
  // The same, √z <= π/4: 2^-57.
  static constexpr double sine[] = {-1.66666666666666297e-01, 8.33333333332211823e-03,
                                    -1.98412698295894494e-04, 2.75573136213535521e-06,
                                    -2.50507477576555684e-08, 1.58962298470199557e-10};
  // (cos(√z) - 1 + z / 2) / z², √z <= π/4; cos with it: 2^-63.
  static constexpr double cosine[] = {4.16666666666665950e-02, -1.38888888888730557e-03,
                                      2.48015872888516056e-05, -2.75573141792675545e-07,
                                      2.08757008379088438e-09, -1.13585363059138164e-11};
};

// With the digits of float32, |x| <= wave_end. r = x - h π, |r| <= π/2: h is an integer n for sin, and then
// sin x = (-1)^n sin r; for cos it is n + 1/2, and cos x = (-1)^(n+1) sin r.
template <Wave wave>
BPCORE_INLINE simd::Vec<double> wave_in_float32(simd::Vec<double> x) {
  using Vec = simd::Vec<double>;
  using C = WaveParts;
  constexpr bool is_cos = wave == Wave::Cos;
  const Vec argument = is_cos ? simd::absolute<double>(x) : x;
  const Vec inverse = simd::broadcast(C::inverse_pi);
  constexpr double shift = simd::integer_shift<double> + (is_cos ? 1 : 0);
  // The exponent of -1 as an integer, in the low bits of a sum.
  const Vec shifted = is_cos ? simd::fma(argument, inverse, simd::broadcast(-0.5)) + shift
                             : simd::fma(argument, inverse, simd::broadcast(shift));
  const Vec h = (shifted - shift) + (is_cos ? 0.5 : 0.0);
  const Vec rough = simd::fma(h, simd::broadcast(-C::pi[0]), argument);
  const Vec r = simd::fma(h, simd::broadcast(-C::pi_rest), rough), z = r * r;
  const Vec y = simd::fma(r * z, polynomial<double>(z, C::half_wave), r);
  const simd::Vec<uint64_t> sign = (simd::Vec<uint64_t>)shifted << 63;
  return (Vec)((simd::Vec<uint64_t>)simd::with_sign_of<double>(r, simd::absolute<double>(y)) ^ sign);
}

// With those of float64, |x| <= wave_end. r + low = x - n π/2, |r| <= π/4, low being what rounding took from
// r: next to a multiple of π/2, more digits cancel than a float64 has. In the quadrants of odd n, sin and cos
// change places.
template <Wave wave>
BPCORE_INLINE simd::Vec<double> wave_in_float64(simd::Vec<double> x) {
  using Vec = simd::Vec<double>;
  using Bits = simd::Vec<uint64_t>;
  using C = WaveParts;
  constexpr double shift = simd::integer_shift<double>;
  const Vec shifted = simd::fma(x, simd::broadcast(2 * C::inverse_pi), simd::broadcast(shift));
  const Vec n = shifted - shift;
  const Bits quadrant = (Bits)shifted + uint64_t{wave == Wave::Cos};
  const auto minus = [n](double part, Vec from) __attribute__((always_inline)) {
    return simd::fma(n, simd::broadcast(-0.5 * part), from);
  };
  const Vec first = minus(C::pi[0], x), second = minus(C::pi[1], first), r = minus(C::pi[2], second);
  const Vec low = minus(C::pi[3], minus(C::pi[1], first - second) + minus(C::pi[2], second - r));

  const Vec z = r * r, half = 0.5 * z, rough = 1.0 - half;
  const Vec sine = r + simd::fma(r, z * polynomial<double>(z, C::sine), low);
  const Vec rest = simd::fma(z * z, polynomial<double>(z, C::cosine), -(r * low));
  const Vec cosine = rough + (((1.0 - rough) - half) + rest);

  const auto odd = (simd::Vec<int64_t>)(quadrant << 63) < simd::Vec<int64_t>{};
  const Vec y = odd ? cosine : simd::with_sign_of<double>(r, simd::absolute<double>(sine));
  return (Vec)((Bits)y ^ ((quadrant << 62) & simd::sign_bit<double>));
}

// out[i] = near(x[i]); whether some of x are beyond wave_end, where that is not right, or NaN. out may be x.
template <class Function>
BPCORE_INLINE bool map_near(int64_t count, const double* x, double* out, Function near) {
  using Bits = simd::Vec<uint64_t>;
  // Bits of magnitudes are in the order of the magnitudes: added to those beyond, this sets the sign bit.
  constexpr uint64_t to_sign = simd::sign_bit<double> - 1 - std::bit_cast<uint64_t>(wave_end);
  Bits beyond{};
  for_vectors<double>(count, [&](int64_t i, const auto& access) __attribute__((always_inline)) {
    const simd::Vec<double> v = access.load(x + i);
    beyond |= (Bits)simd::absolute<double>(v) + to_sign;
    access.store(out + i, near(v));
  });
  uint64_t any = 0;
  for (int i = 0; i < simd::vector_width<double>; ++i) any |= beyond[i];
  return (any & simd::sign_bit<double>) != 0;
}

template <Wave wave, class T>
void correct_far(int64_t count, const T* x, T* out) {
  for (int64_t i = 0; i < count; ++i) {
    if (!(std::fabs(x[i]) > T(wave_end))) continue;
    const double far = x[i];
    out[i] = static_cast<T>(wave == Wave::Sin ? std::sin(far) : std::cos(far));
  }
}

// out[i] = sin or cos of x[i]; out is not x.
template <Wave wave>
void map_wave(int64_t count, const double* x, double* out) {
  if (map_near(count, x, out, [](simd::Vec<double> v) { return wave_in_float64<wave>(v); }))
    correct_far<wave>(count, x, out);
}

template <Wave wave>
void map_wave(int64_t count, const float* x, float* out) {
  constexpr int64_t block = 1024;  // elements that stay in the level-1 cache as float64
  alignas(64) double wide[block];
  for (int64_t begin = 0; begin < count; begin += block) {
    const int64_t size = std::min(block, count - begin);
    for (int64_t i = 0; i < size; ++i) wide[i] = x[begin + i];
    const bool far = map_near(size, wide, wide, [](simd::Vec<double> v) { return wave_in_float32<wave>(v); });
    for (int64_t i = 0; i < size; ++i) out[begin + i] = static_cast<float>(wide[i]);
    if (far) correct_far<wave>(size, x + begin, out + begin);
  }
}

}  // namespace bpcore::kernels
