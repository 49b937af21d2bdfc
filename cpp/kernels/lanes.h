// What vector functions need beyond arithmetic: the bits of floats, powers of two, reductions over lanes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

#include "kernels/simd.h"

namespace bpcore::kernels::simd {

template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;  // a float's, for shifts and masks
template <class T>
using Lanes = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;  // what comparing Vec<T> gives: 0 or -1

template <class T>
inline constexpr int mantissa_bits = std::numeric_limits<T>::digits - 1;
template <class T>
inline constexpr Bits<T> exponent_bias = std::numeric_limits<T>::max_exponent - 1;
template <class T>
inline constexpr Bits<T> sign_bit = Bits<T>{1} << (8 * sizeof(T) - 1);

// 1.5 · 2^mantissa_bits: a small number added to it is rounded to an integer, which then stands in the low
// bits of the sum. Neither step needs an instruction that converts, which float64 has only in AVX-512.
template <class T>
inline constexpr T integer_shift = T(3) * static_cast<T>(Bits<T>{1} << (mantissa_bits<T> - 1));

template <class T>
BPCORE_INLINE Vec<T> absolute(Vec<T> x) {
  return (Vec<T>)((Vec<Bits<T>>)x & ~sign_bit<T>);
}

// `magnitude` (not negative) with the sign of x.
template <class T>
BPCORE_INLINE Vec<T> with_sign_of(Vec<T> x, Vec<T> magnitude) {
  return (Vec<T>)(((Vec<Bits<T>>)x & sign_bit<T>) | (Vec<Bits<T>>)magnitude);
}

// -|x|
template <class T>
BPCORE_INLINE Vec<T> negative_magnitude(Vec<T> x) {
  return (Vec<T>)((Vec<Bits<T>>)x | sign_bit<T>);
}

// x where it is not less, or more, than a bound; NaN stays NaN. One instruction each: of AVX-512's, compilers
// have to be told.
#if defined(__AVX512F__)
BPCORE_INLINE Vec<float> at_least(Vec<float> x, float low) { return _mm512_max_ps(broadcast(low), x); }
BPCORE_INLINE Vec<double> at_least(Vec<double> x, double low) { return _mm512_max_pd(broadcast(low), x); }
BPCORE_INLINE Vec<float> at_most(Vec<float> x, float high) { return _mm512_min_ps(broadcast(high), x); }
BPCORE_INLINE Vec<double> at_most(Vec<double> x, double high) { return _mm512_min_pd(broadcast(high), x); }
#else
template <class V, class T>
BPCORE_INLINE V at_least(V x, T low) {
  const V least = broadcast(low);
  return least > x ? least : x;
}
template <class V, class T>
BPCORE_INLINE V at_most(V x, T high) {
  const V most = broadcast(high);
  return most < x ? most : x;
}
#endif

// x within [low, high]; NaN stays NaN.
template <class T>
BPCORE_INLINE Vec<T> clamp(Vec<T> x, T low, T high) {
  return at_least(at_most(x, high), low);
}

// 2^n for integers n of normal powers.
template <class T>
BPCORE_INLINE Vec<T> power_of_two(Vec<T> n) {
  const Vec<T> biased = n + (integer_shift<T> + static_cast<T>(exponent_bias<T>));
  return (Vec<T>)((Vec<Bits<T>>)biased << mantissa_bits<T>);
}

// x · 2^n for integers n, rounded once, into infinity, subnormal numbers and zero. 0.5 <= |x| < 2, and
// 2^(n / 2) is normal.
#if defined(__AVX512F__)
BPCORE_INLINE Vec<float> scale(Vec<float> x, Vec<float> n) { return _mm512_scalef_ps(x, n); }
BPCORE_INLINE Vec<double> scale(Vec<double> x, Vec<double> n) { return _mm512_scalef_pd(x, n); }
#else
template <class V>
BPCORE_INLINE V scale(V x, V n) {
  using T = std::remove_cvref_t<decltype(x[0])>;
  const V half = fma(n, broadcast(T(0.5)), broadcast(integer_shift<T>)) - integer_shift<T>;
  return x * power_of_two<T>(half) * power_of_two<T>(n - half);  // the first product is exact
}
#endif

// The lanes of v, each changed for the one `Step` (a power of two) away.
template <int Step, class T, size_t... I>
BPCORE_INLINE Vec<T> swap_lanes(Vec<T> v, std::index_sequence<I...>) {
#if defined(__clang__)
  return __builtin_shufflevector(v, v, static_cast<int>(I ^ Step)...);
#else
  return __builtin_shuffle(v, Vec<Lanes<T>>{static_cast<Lanes<T>>(I ^ Step)...});
#endif
}

// combine over all lanes, in halves, the result in every lane.
template <class T, int Step = vector_width<T> / 2, class Combine>
BPCORE_INLINE Vec<T> combine_lanes(Vec<T> v, Combine combine) {
  v = combine(v, swap_lanes<Step, T>(v, std::make_index_sequence<vector_width<T>>{}));
  if constexpr (Step == 1)
    return v;
  else
    return combine_lanes<T, Step / 2>(v, combine);
}

// 0, 1, 2, ...
template <class T, size_t... I>
BPCORE_INLINE Vec<T> count_up(std::index_sequence<I...>) {
  return Vec<T>{static_cast<T>(I)...};
}
template <class T>
BPCORE_INLINE Vec<T> count_up() {
  return count_up<T>(std::make_index_sequence<vector_width<T>>{});
}

}  // namespace bpcore::kernels::simd
