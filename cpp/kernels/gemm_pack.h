// Packing: a panel of A or B laid out step by step of k, as the micro-kernels read it.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "kernels/simd.h"

namespace bpcore::kernels {

// source (depth, width), rows contiguous -> target (depth, target_stride), width <= target_stride. What a row
// of the target holds beyond width is anything: micro-kernels do not read it.
template <class T>
void copy_panel(const T* source, int64_t source_stride, int64_t depth, int width, T* target,
                int64_t target_stride) {
  constexpr int w = simd::vector_width<T>;
  const int full = (width - 1) / w * w;
  const simd::Mask<T> mask(width - full);
  const bool whole = full + w <= target_stride;  // room for a plain store, which is cheaper
  for (int64_t p = 0; p < depth; ++p) {
    for (int j = 0; j < full; j += w) simd::store(target + j, simd::load(source + j));
    if (whole) {
      simd::store(target + full, simd::load(source + full, mask));
    } else {
      simd::store(target + full, simd::load(source + full, mask), mask);
    }
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

template <class T, int... Index>
constexpr auto transpose_strips(std::integer_sequence<int, Index...>) {
  return std::array{transpose_strip<T, Index + 1>...};
}

// source (width, depth), rows contiguous -> target (depth, target_stride): copy_panel of the transposed
// source.
template <class T>
void transpose_panel(const T* source, int64_t source_stride, int64_t depth, int width, T* target,
                     int64_t target_stride) {
  constexpr int w = simd::vector_width<T>;
  static constexpr auto strips = transpose_strips<T>(std::make_integer_sequence<int, w>{});
  for (int i = 0; i < width; i += w) {
    const int rows = width - i < w ? width - i : w;
    strips[rows - 1](source + i * source_stride, source_stride, depth, target + i, target_stride);
  }
}

}  // namespace bpcore::kernels
