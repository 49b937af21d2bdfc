// Square root and quotient by one Newton step from the hardware's 14-bit estimates, where the divider is what
// a loop would wait for: a vector of 16 floats takes it 16 to 19 cycles, a step of Newton's takes 3
// instructions. Elsewhere these are the exact instructions. What comes out depends on the operands and the
// instruction set only.
#pragma once

#include <cmath>

#include "kernels/simd.h"

namespace bpcore::kernels {

// √x, for x >= 0 that is zero, normal, infinite or NaN; within 1 ulp.
template <class T>
BPCORE_INLINE simd::Vec<T> square_root(simd::Vec<T> x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == sizeof(float)) {
    const simd::Vec<T> estimate = _mm512_maskz_rsqrt14_ps(0xffff, x);
    const simd::Vec<T> root = x * estimate;
    const simd::Vec<T> error = simd::fma(T(-0.5) * root, estimate, simd::broadcast(T(0.5)));
    return root == root ? simd::fma(root, error, root) : x;  // 0 and infinity: x · estimate is NaN
  }
#endif
  // GCC makes one instruction of the loop.
  for (int i = 0; i < simd::vector_width<T>; ++i) x[i] = std::sqrt(x[i]);
  return x;
}

// a / b, for b whose reciprocal is a normal number, and for zero, infinity and NaN; within 2 ulp.
template <class T>
BPCORE_INLINE simd::Vec<T> quotient(simd::Vec<T> a, simd::Vec<T> b) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == sizeof(float)) {
    const simd::Vec<T> estimate = _mm512_maskz_rcp14_ps(0xffff, b);
    const simd::Vec<T> error = simd::fma(-b, estimate, simd::broadcast(T(1)));
    return a * (error == error ? simd::fma(estimate, error, estimate) : estimate);  // b of 0 or infinity
  }
#endif
  return a / b;
}

}  // namespace bpcore::kernels
