// exp, log, tanh … on arrays, by Eigen's vectorised functions.
//
// Eigen computes whole vectors and the few elements behind the last one by different code, so that an
// element's bits would depend on where it stands. Here every element goes through the vector code: a block
// has a fixed size, and a short one is padded.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace bpcore::kernels {

template <class T>
constexpr int math_block = static_cast<int>(64 / sizeof(T));

template <class T>
using MathBlock = Eigen::Array<T, math_block<T>, 1>;

// out[i] = function(block)[i]; out may be x. `pad` is a value for which the function is defined.
template <class T, class Function>
void map_blocks(int64_t count, const T* x, T* out, T pad, Function function) {
  constexpr int size = math_block<T>;
  using Map = Eigen::Map<MathBlock<T>>;
  using ConstMap = Eigen::Map<const MathBlock<T>>;
  int64_t i = 0;
  for (; i + size <= count; i += size) Map(out + i) = function(MathBlock<T>(ConstMap(x + i)));
  if (i == count) return;
  MathBlock<T> block = MathBlock<T>::Constant(pad);
  std::copy(x + i, x + count, block.data());
  block = function(block);
  std::copy(block.data(), block.data() + (count - i), out + i);
}

// The exponential. Eigen's ends at the smallest normal number and overflows a little early, so that far out
// exp(x / 2)² takes its place, which reaches subnormal results, zero and the largest number.
template <class T>
MathBlock<T> exponential(const MathBlock<T>& x) {
  constexpr T far = sizeof(T) == 4 ? T(87) : T(708);
  int outside = 0;  // an Eigen any() would branch at every element
  for (int i = 0; i < math_block<T>; ++i) outside |= std::fabs(x[i]) > far;
  if (!outside) return x.exp();
  MathBlock<T> y;
  for (int i = 0; i < math_block<T>; ++i) y[i] = x[i] > far || x[i] < -far ? x[i] / 2 : x[i];
  MathBlock<T> e = y.exp();  // by itself: inside a select, Eigen would compute it element by element
  for (int i = 0; i < math_block<T>; ++i) e[i] = x[i] > far || x[i] < -far ? e[i] * e[i] : e[i];
  return e;
}

// The natural logarithm; Eigen's takes subnormal numbers for the smallest normal one, so they are scaled
// first.
template <class T>
MathBlock<T> logarithm(const MathBlock<T>& x) {
  constexpr T smallest = std::numeric_limits<T>::min(), scale = T(0x1p60),
              log_scale = T(41.58883083359671856503);
  int outside = 0;
  for (int i = 0; i < math_block<T>; ++i) outside |= x[i] < smallest;
  if (!outside) return x.log();
  MathBlock<T> y;
  for (int i = 0; i < math_block<T>; ++i) y[i] = x[i] < smallest ? x[i] * scale : x[i];
  y = MathBlock<T>(y.log());
  for (int i = 0; i < math_block<T>; ++i) y[i] = x[i] < smallest ? y[i] - log_scale : y[i];
  return y;
}

// 1 / (1 + exp(-x)), from exp(-|x|), which never overflows.
template <class T>
MathBlock<T> sigmoid(const MathBlock<T>& x) {
  const MathBlock<T> decay = exponential<T>(-x.abs());
  MathBlock<T> numerator;
  for (int i = 0; i < math_block<T>; ++i) numerator[i] = x[i] >= T(0) ? T(1) : decay[i];
  return numerator / (T(1) + decay);
}

}  // namespace bpcore::kernels
