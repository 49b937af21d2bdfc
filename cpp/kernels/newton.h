// Square root and quotient by one Newton step from the hardware's 14-bit estimates, where the divider is what
// a loop would wait for: a vector of 16 floats takes it 16 to 19 cycles, a step of Newton's takes 3
// instructions. Elsewhere these are the exact instructions. What comes out depends on the operands and the
// instruction set only.
#pragma once

#include <cmath>
#include <limits>

#include "kernels/simd.h"

namespace bpcore::kernels {

// √x, for x >= 0 that is zero, normal or infinite; within 1 ulp. Infinite or NaN where x is NaN.
template <class T>
BPCORE_INLINE simd::Vec<T> square_root(simd::Vec<T> x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == sizeof(float)) {
    const simd::Vec<T> least = simd::broadcast(std::numeric_limits<T>::min());  // 0: not 1 / 0
    const simd::Vec<T> estimate = _mm512_maskz_rsqrt14_ps(0xffff, _mm512_maskz_max_ps(0xffff, x, least));
    const simd::Vec<T> root = x * estimate;
    const simd::Vec<T> error = simd::fma(T(-0.5) * root, estimate, simd::broadcast(T(0.5)));
    // Infinity: x · 0 is NaN. Of a NaN and another number an extreme is the second, sooner than by comparing.
    return _mm512_maskz_min_ps(0xffff, simd::fma(root, error, root),
                               simd::broadcast(std::numeric_limits<T>::infinity()));
  }
#endif
  // GCC makes one instruction of the loop.
  for (int i = 0; i < simd::vector_width<T>; ++i) x[i] = std::sqrt(x[i]);
  return x;
}

// a / b, for b that is infinite or whose reciprocal is a normal number; within 2 ulp. Infinite or NaN where b
// is zero, NaN where it is NaN.
template <class T>
BPCORE_INLINE simd::Vec<T> quotient(simd::Vec<T> a, simd::Vec<T> b) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == sizeof(float)) {
    const simd::Vec<T> estimate = _mm512_maskz_rcp14_ps(0xffff, b);
    const simd::Vec<T> error = simd::fma(-b, estimate, simd::broadcast(T(1)));
    const simd::Vec<T> known =
        _mm512_maskz_max_ps(0xffff, error, simd::broadcast(T(-1)));  // b of infinity: NaN, · 0
    return a * simd::fma(estimate, known, estimate);
  }
#endif
  return a / b;
}

}  // namespace bpcore::kernels
