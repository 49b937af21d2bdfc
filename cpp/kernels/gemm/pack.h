// Packing: a panel of A or B laid out step by step of k, as the micro-kernels read it.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "kernels/simd.h"
#include "kernels/transpose.h"

namespace bpcore::kernels {

// A function for each width from 1 to a vector's: make<width>, width - 1 its place.
template <class Make, int... Index>
constexpr auto by_width(Make make, std::integer_sequence<int, Index...>) {
  return std::array{make(std::integral_constant<int, Index + 1>{})...};
}

template <class T>
using EveryWidth = std::make_integer_sequence<int, simd::vector_width<T>>;

// source (depth, Width) -> target (depth, target_stride). A constant width makes a row one or two moves.
template <class T, int Width>
void copy_strip(const T* source, int64_t source_stride, int64_t depth, T* target, int64_t target_stride) {
  for (int64_t p = 0; p < depth; ++p) {
    std::memcpy(target, source, Width * sizeof(T));
    source += source_stride;
    target += target_stride;
  }
}

// source (depth, width), rows contiguous -> target (depth, target_stride), width <= target_stride. What a row
// of the target holds beyond width is anything: micro-kernels do not read it.
template <class T>
void copy_panel(const T* source, int64_t source_stride, int64_t depth, int width, T* target,
                int64_t target_stride) {
  constexpr int w = simd::vector_width<T>;
  static constexpr auto strips = by_width([](auto width) { return copy_strip<T, width()>; }, EveryWidth<T>{});
  if (width <= w) return strips[width - 1](source, source_stride, depth, target, target_stride);
  const int full = (width - 1) / w * w;
  const simd::Mask<T> mask(width - full);
  for (int64_t p = 0; p < depth; ++p) {
    for (int j = 0; j < full; j += w) simd::store(target + j, simd::load(source + j));
    simd::store(target + full, simd::load(source + full, mask));
    source += source_stride;
    target += target_stride;
  }
}

// source (Rows, depth) -> target (depth, target_stride): lanes 0 ... Rows - 1.
template <class T, int Rows>
void transpose_strip(const T* source, int64_t source_stride, int64_t depth, T* target,
                     int64_t target_stride) {
  constexpr int q = simd::lane_width<T>;
  int64_t p = 0;
  for (; p + q <= depth; p += q) {
    simd::transpose_group<Rows>(source + p, source_stride, target + p * target_stride, target_stride);
  }
  for (; p < depth; ++p) {
    for (int i = 0; i < Rows; ++i) target[p * target_stride + i] = source[i * source_stride + p];
  }
}

// source (width, depth), rows contiguous -> target (depth, target_stride): copy_panel of the transposed
// source. A row of the target has room for width rounded up to the vector that transpose_group takes.
template <class T>
void transpose_panel(const T* source, int64_t source_stride, int64_t depth, int width, T* target,
                     int64_t target_stride) {
  constexpr int w = simd::vector_width<T>;
  static constexpr auto strips =
      by_width([](auto rows) { return transpose_strip<T, rows()>; }, EveryWidth<T>{});
  for (int i = 0; i < width; i += w) {
    const int rows = width - i < w ? width - i : w;
    strips[rows - 1](source + i * source_stride, source_stride, depth, target + i, target_stride);
  }
}

}  // namespace bpcore::kernels
