// Transforms of Winograd's convolution F(2 × 2, 3 × 3): 4 × 4 inputs, 3 × 3 weights and 2 × 2 outputs to and
// from 16 numbers each, which meet only their like. The matrices are those of Lavin and Gray, "Fast
// algorithms for convolutional neural networks" (2015): output = Aᵀ [(G weight Gᵀ) ⊙ (Bᵀ input B)] A. Vectors
// run along the channels.
#pragma once

#include <cstdint>

#include "kernels/gemm/gemm.h"
#include "kernels/simd.h"
#include "kernels/vectors.h"

namespace bpcore::kernels::winograd {

inline constexpr int64_t numbers = 16;  // of a tile
inline constexpr int64_t side = 2;      // of its outputs

// Bᵀ times a column.
template <class V>
BPCORE_INLINE void of_input(const V& a, const V& b, const V& c, const V& d, V (&out)[4]) {
  out[0] = a - c;
  out[1] = b + c;
  out[2] = c - b;
  out[3] = b - d;
}

// G times a column.
template <class V>
BPCORE_INLINE void of_weight(const V& a, const V& b, const V& c, V (&out)[4]) {
  const V outer = (a + c) * 0.5f, inner = b * 0.5f;
  out[0] = a;
  out[1] = outer + inner;
  out[2] = outer - inner;
  out[3] = c;
}

// Aᵀ times a column.
template <class V>
BPCORE_INLINE void to_output(const V& a, const V& b, const V& c, const V& d, V (&out)[2]) {
  out[0] = a + b + c;
  out[1] = b - c - d;
}

// A times a column: the transpose of to_output.
template <class V>
BPCORE_INLINE void of_gradient(const V& a, const V& b, V (&out)[4]) {
  out[0] = a;
  out[1] = a + b;
  out[2] = a - b;
  out[3] = -b;
}

// Gᵀ times a column: the transpose of of_weight.
template <class V>
BPCORE_INLINE void to_weight(const V& a, const V& b, const V& c, const V& d, V (&out)[3]) {
  const V sum = (b + c) * 0.5f;
  out[0] = a + sum;
  out[1] = (b - c) * 0.5f;
  out[2] = sum + d;
}

// Where the 16 numbers of rows of tiles lie: (16, rows, channels), each of the 16 `apart` from the next,
// which is an odd number of cache lines, so that they don't meet in the sets of a cache.
template <class T>
struct Spread {
  T* begin;
  int64_t apart, row_stride;
};

// The numbers 4 i ... 4 i + 3 of what lies at p.
template <class Access, class T, class V>
BPCORE_INLINE void store_row(const Access& access, T* p, int64_t apart, int i, const V (&row)[4]) {
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) access.store(p + (4 * i + j) * apart, row[j]);
}

// The numbers j, j + 4, j + 8, j + 12.
template <class Access, class T, class V>
BPCORE_INLINE void load_column(const Access& access, const T* p, int64_t apart, int j, V (&column)[4]) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) column[i] = access.load(p + (4 * i + j) * apart);
}

inline int64_t odd_lines(int64_t elements, int64_t line) {
  const int64_t lines = (elements + line - 1) / line;
  return (lines | 1) * line;
}

// `count` tiles side by side: tile t reads pixels 2 t ... 2 t + 3 of four rows and writes row t of `to`.
template <class T>
void transform_inputs(const T* from /* (4, pixels, stride) */, int64_t row_stride, int64_t stride,
                      int64_t channels, int64_t count, Spread<T> to) {
  using V = simd::Vec<T>;
  for_vectors<T>(channels, [&](int64_t channel, const auto& access) {
    V column[4][4];  // of the tile's four pixels along x
    const auto read = [&](int64_t pixel, V(&out)[4]) {
      const T* p = from + pixel * stride + channel;
      of_input(access.load(p), access.load(p + row_stride), access.load(p + 2 * row_stride),
               access.load(p + 3 * row_stride), out);
    };
    read(0, column[0]);
    read(1, column[1]);
    T* p = to.begin + channel;
    for (int64_t tile = 0; tile < count; ++tile, p += to.row_stride) {
      read(2 * tile + 2, column[2]);
      read(2 * tile + 3, column[3]);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        V row[4];
        of_input(column[0][i], column[1][i], column[2][i], column[3][i], row);
        store_row(access, p, to.apart, i, row);
        column[0][i] = column[2][i];
        column[1][i] = column[3][i];
      }
    }
  });
}

// `count` tiles of outputs' gradients side by side: the transpose of transform_outputs.
template <class T>
void transform_gradients(const T* from /* (2, pixels, stride) */, int64_t row_stride, int64_t stride,
                         int64_t channels, int64_t count, Spread<T> to) {
  using V = simd::Vec<T>;
  for_vectors<T>(channels, [&](int64_t channel, const auto& access) {
    const T* pixel = from + channel;
    T* p = to.begin + channel;
    for (int64_t tile = 0; tile < count; ++tile, p += to.row_stride) {
      V column[2][4];
#pragma GCC unroll 2
      for (int j = 0; j < 2; ++j, pixel += stride)
        of_gradient(access.load(pixel), access.load(pixel + row_stride), column[j]);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        V row[4];
        of_gradient(column[0][i], column[1][i], row);
        store_row(access, p, to.apart, i, row);
      }
    }
  });
}

// Outputs (rows, columns) of 2 × 2, where fewer are there, of each of `count` tiles side by side.
template <class T>
struct OutputTiles {
  T* to;                                      // the first; pixels `stride` apart, rows `row_stride`
  Epilogue<T> epilogue;                       // of them
  int64_t row_stride, stride, rows, columns;  // of all tiles together: rows 1 or 2
};

template <class T>
void transform_outputs(Spread<const T> from, int64_t channels, OutputTiles<T> out) {
  using V = simd::Vec<T>;
  for_vectors<T>(channels, [&](int64_t channel, const auto& access) {
    const T* p = from.begin + channel;
    for (int64_t tile = 0; tile * side < out.columns; ++tile, p += from.row_stride) {
      V column[4][2];
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        V number[4];
        load_column(access, p, from.apart, j, number);
        to_output(number[0], number[1], number[2], number[3], column[j]);
      }
#pragma GCC unroll 2
      for (int i = 0; i < side; ++i) {
        V row[2];
        to_output(column[0][i], column[1][i], column[2][i], column[3][i], row);
        if (i >= out.rows) break;
#pragma GCC unroll 2
        for (int j = 0; j < side; ++j) {
          if (tile * side + j >= out.columns) break;
          const int64_t place = i * out.row_stride + (tile * side + j) * out.stride + channel;
          access.store(out.to + place, finish(out.epilogue.at(place, channel), row[j],
                                              [&](const T* p) { return access.load(p); }));
        }
      }
    }
  });
}

// A row of the weight: taps(i, j) is where that of tap (i, j) lies; put(number, first channel, access,
// value).
template <class T, class Taps, class Put>
BPCORE_INLINE void transform_weight(int64_t channels, Taps taps, Put put) {
  using V = simd::Vec<T>;
  for_vectors<T>(channels, [&](int64_t channel, const auto& access) {
    V column[3][4];
#pragma GCC unroll 3
    for (int j = 0; j < 3; ++j)
      of_weight(access.load(taps(0, j) + channel), access.load(taps(1, j) + channel),
                access.load(taps(2, j) + channel), column[j]);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      V row[4];
      of_weight(column[0][i], column[1][i], column[2][i], row);
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) put(4 * i + j, channel, access, row[j]);
    }
  });
}

// The transpose of transform_weight, to taps `tap_stride` apart.
template <class T>
void transform_weight_gradient(Spread<const T> from, int64_t row, int64_t channels, T* to,
                               int64_t tap_stride) {
  using V = simd::Vec<T>;
  for_vectors<T>(channels, [&](int64_t channel, const auto& access) {
    V column[4][3];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      V number[4];
      load_column(access, from.begin + row * from.row_stride + channel, from.apart, j, number);
      to_weight(number[0], number[1], number[2], number[3], column[j]);
    }
#pragma GCC unroll 3
    for (int i = 0; i < 3; ++i) {
      V taps[3];
      to_weight(column[0][i], column[1][i], column[2][i], column[3][i], taps);
#pragma GCC unroll 3
      for (int j = 0; j < 3; ++j) access.store(to + (3 * i + j) * tap_stride + channel, taps[j]);
    }
  });
}

}  // namespace bpcore::kernels::winograd
