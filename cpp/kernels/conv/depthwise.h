// Depthwise convolutions: vectors of channels, which never meet.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "kernels/gemm/epilogue.h"
#include "kernels/simd.h"

namespace bpcore::kernels {

template <class T>
struct ChannelCall {
  const T* a;       // element (i, tap) at i * a_stride + taps[tap]
  const T* weight;  // of a tap at weights[tap]
  T* c;             // (outputs), c_stride apart
  Epilogue<T> epilogue;
  const int64_t *taps, *weights;
  int64_t tap_count, a_stride, c_stride;
  int channels;  // 1 ... vector_width
};

inline constexpr int channel_outputs = 8;  // outputs side by side: independent chains

template <class T, int Outputs>
void channel_tile(const ChannelCall<T>& t) {
  using V = simd::Vec<T>;
  const simd::Mask<T> mask(t.channels);
  V acc[Outputs] = {};
  for (int64_t tap = 0; tap < t.tap_count; ++tap) {
    const V weight = simd::load(t.weight + t.weights[tap], mask);
    const T* a = t.a + t.taps[tap];
#pragma GCC unroll 8
    for (int i = 0; i < Outputs; ++i)
      acc[i] = simd::fma(simd::load(a + i * t.a_stride, mask), weight, acc[i]);
  }
  finish(t.epilogue, t.c_stride, acc, [mask](const T* p) { return simd::load(p, mask); });
#pragma GCC unroll 8
  for (int i = 0; i < Outputs; ++i) simd::store(t.c + i * t.c_stride, acc[i], mask);
}

inline constexpr int channel_taps = 9;  // taps whose sums run side by side: those of a window of 3 × 3

template <class T>
struct ChannelSum {
  const T* x;                  // element (p, tap) of a row of outputs at p * x_stride + taps[tap]
  const T* gradient;           // (outputs), gradient_stride apart
  T* sum;                      // (taps), sum_stride apart: added to
  const int64_t *taps, *rows;  // where each tap, and each row of outputs lies in x; the gradient goes on
  int64_t row_count, outputs, x_stride, gradient_stride, sum_stride;
  int channels;
  bool accumulate;  // go on from what `sum` holds instead of from zero
};

template <class T, int Taps>
void channel_sum(const ChannelSum<T>& t) {
  using V = simd::Vec<T>;
  const simd::Mask<T> mask(t.channels);
  V acc[Taps] = {};
  if (t.accumulate)
    for (int i = 0; i < Taps; ++i) acc[i] = simd::load(t.sum + i * t.sum_stride, mask);
  const T* gradient = t.gradient;
  for (int64_t row = 0; row < t.row_count; ++row) {
    const T* x = t.x + t.rows[row];
    for (int64_t p = 0; p < t.outputs; ++p) {
      const V g = simd::load(gradient, mask);
#pragma GCC unroll 9
      for (int i = 0; i < Taps; ++i) acc[i] = simd::fma(simd::load(x + t.taps[i], mask), g, acc[i]);
      x += t.x_stride;
      gradient += t.gradient_stride;
    }
  }
  for (int i = 0; i < Taps; ++i) simd::store(t.sum + i * t.sum_stride, acc[i], mask);
}

template <class T, int... Index>
constexpr auto channel_tiles(std::integer_sequence<int, Index...>) {
  return std::array{channel_tile<T, Index + 1>...};
}
template <class T, int... Index>
constexpr auto channel_sums(std::integer_sequence<int, Index...>) {
  return std::array{channel_sum<T, Index + 1>...};
}

// By outputs - 1, by taps - 1.
template <class T>
inline constexpr auto channel_tile_table =
    channel_tiles<T>(std::make_integer_sequence<int, channel_outputs>{});
template <class T>
inline constexpr auto channel_sum_table = channel_sums<T>(std::make_integer_sequence<int, channel_taps>{});

}  // namespace bpcore::kernels
