// Elementwise loops: out[i] = function(a[i], b[i], …), where an input may be one element for all.
#pragma once

#include <cstdint>

namespace bpcore::kernels {

// The strides of a run are 0 or 1; naming them lets the compiler vectorise each case.
template <int StrideA, int StrideB, class Out, class A, class B, class Function>
void binary_run(Out* __restrict out, const A* a, const B* b, int64_t count, Function function) {
  for (int64_t i = 0; i < count; ++i) out[i] = function(a[StrideA * i], b[StrideB * i]);
}

template <class Out, class A, class B, class Function>
void binary(int64_t count, Out* out, const A* a, bool moves_a, const B* b, bool moves_b, Function function) {
  if (moves_a && moves_b)
    binary_run<1, 1>(out, a, b, count, function);
  else if (moves_a)
    binary_run<1, 0>(out, a, b, count, function);
  else if (moves_b)
    binary_run<0, 1>(out, a, b, count, function);
  else
    binary_run<0, 0>(out, a, b, count, function);
}

template <class Out, class A, class Function>
void unary(int64_t count, const A* a, Out* __restrict out, Function function) {
  for (int64_t i = 0; i < count; ++i) out[i] = function(a[i]);
}

// out[i] = condition[i] ? a[i] : b[i], with steps of 1 or 0.
template <class T>
void select(int64_t count, T* __restrict out, const uint8_t* condition, int64_t condition_step, const T* a,
            int64_t a_step, const T* b, int64_t b_step) {
  for (int64_t i = 0; i < count; ++i) out[i] = condition[condition_step * i] ? a[a_step * i] : b[b_step * i];
}

}  // namespace bpcore::kernels
