// Elementwise loops: out[i] = function(a[i], b[i], …) with broadcasting.
#pragma once

#include <cstdint>

#include "kernels/loops.h"

namespace bpcore::kernels {

// The strides of a run are 0 or 1; naming them lets the compiler vectorise each case.
template <int StrideA, int StrideB, class Out, class A, class B, class Function>
void binary_run(Out* __restrict out, const A* a, const B* b, int64_t count, Function function) {
  for (int64_t i = 0; i < count; ++i) out[i] = function(a[StrideA * i], b[StrideB * i]);
}

template <class Out, class A, class B, class Function>
void binary(const Walk<2>& walk, Range range, Out* out, const A* a, const B* b, Function function) {
  const bool moves_a = walk.inner_stride(0) != 0, moves_b = walk.inner_stride(1) != 0;
  walk.runs(range, [&](int64_t position, const std::array<int64_t, 2>& offset, int64_t count) {
    Out* to = out + position;
    const A* from_a = a + offset[0];
    const B* from_b = b + offset[1];
    if (moves_a && moves_b)
      binary_run<1, 1>(to, from_a, from_b, count, function);
    else if (moves_a)
      binary_run<1, 0>(to, from_a, from_b, count, function);
    else if (moves_b)
      binary_run<0, 1>(to, from_a, from_b, count, function);
    else
      binary_run<0, 0>(to, from_a, from_b, count, function);
  });
}

template <class Out, class A, class Function>
void unary(int64_t count, const A* a, Out* __restrict out, Function function) {
  for (int64_t i = 0; i < count; ++i) out[i] = function(a[i]);
}

template <class T>
void select(const Walk<3>& walk, Range range, T* out, const uint8_t* condition, const T* a, const T* b) {
  const int64_t step_c = walk.inner_stride(0), step_a = walk.inner_stride(1), step_b = walk.inner_stride(2);
  walk.runs(range, [&](int64_t position, const std::array<int64_t, 3>& offset, int64_t count) {
    T* __restrict to = out + position;
    const uint8_t* c = condition + offset[0];
    const T *from_a = a + offset[1], *from_b = b + offset[2];
    for (int64_t i = 0; i < count; ++i) to[i] = c[step_c * i] ? from_a[step_a * i] : from_b[step_b * i];
  });
}

}  // namespace bpcore::kernels
