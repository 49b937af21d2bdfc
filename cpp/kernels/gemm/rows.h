// Products of so few rows that reading B is most of the work: B is read as it stands, once, never packed.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "kernels/gemm/blocks.h"
#include "kernels/gemm/epilogue.h"
#include "kernels/simd.h"
#include "kernels/transpose.h"
#include "kernels/vectors.h"

namespace bpcore::kernels {

template <class T>
struct RowsCall {
  const T* a;  // (rows, depth): element (i, p) at i * a_row + p * a_step; a_row is 1 if B is transposed
  int64_t a_row, a_step;
  const T* b;  // (depth, columns), or (columns, depth) for multiply_rows_transposed
  int64_t b_stride;
  T* c;  // (rows, columns)
  int64_t c_stride;
  int64_t depth, columns;
  Epilogue<T> epilogue;
};

template <class T>
using RowsKernel = void (*)(const RowsCall<T>&);

// Finished vectors of all rows, of columns from j: after their epilogue, in C.
template <int Rows, class T, class Access>
BPCORE_INLINE void store_finished(const RowsCall<T>& t, int64_t j, simd::Vec<T> (&acc)[Rows],
                                  const Access& access) {
  finish(t.epilogue.at(j, j), t.c_stride, acc, [&](const T* p) { return access.load(p); });
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) access.store(t.c + i * t.c_stride + j, acc[i]);
}

// C = [C +] A B for Steps steps of k from p: as many rows of B side by side, each from its begin to its end,
// which is the order that memory and its prefetchers are made for.
template <int Rows, int Steps, class T>
BPCORE_INLINE void add_steps(const RowsCall<T>& t, int64_t p) {
  using V = simd::Vec<T>;
  V factors[Rows][Steps];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (int s = 0; s < Steps; ++s) factors[i][s] = simd::broadcast(t.a[i * t.a_row + (p + s) * t.a_step]);
  }
  const bool first = p == 0, last = p + Steps == t.depth;
  const T* rows = t.b + p * t.b_stride;
  for_vectors<T>(t.columns, [&](int64_t j, const auto& access) __attribute__((always_inline)) {
    V acc[Rows];
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) acc[i] = first ? V{} : access.load(t.c + i * t.c_stride + j);
#pragma GCC unroll 8
    for (int s = 0; s < Steps; ++s) {
      const V row = access.load(rows + s * t.b_stride + j);
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i) acc[i] = simd::fma(factors[i][s], row, acc[i]);
    }
    if (last) return store_finished(t, j, acc, access);
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) access.store(t.c + i * t.c_stride + j, acc[i]);
  });
}

template <class T, int Rows>
void multiply_rows(const RowsCall<T>& t) {
  constexpr int steps = Rows == 1 ? 8 : 4;  // their factors stay in registers
  int64_t p = 0;
  for (; p + steps <= t.depth; p += steps) add_steps<Rows, steps>(t, p);
  for (; p < t.depth; ++p) add_steps<Rows, 1>(t, p);
}

// acc (Rows, a vector) = A Bᵀ for as many rows of B, from `rows`, as a vector has lanes: they are transposed
// in registers. At least lane_width steps; the last ones overlap those before. A is stored (depth, Rows): its
// elements of a step have one address, or registers would not do for all the addresses.
template <int Rows, class T>
BPCORE_INLINE void transposed_chains(const RowsCall<T>& t, const T* rows, simd::Vec<T> (&acc)[Rows]) {
  constexpr int q = simd::lane_width<T>;
  using V = simd::Vec<T>;
  // Groups of q steps that are loaded together, from the same cache lines: rows of B in one set of the
  // level-1 cache would not stay there until the next group.
  constexpr int groups = simd::vector_bytes < 64 ? 1 : Rows > 8 ? 2 : 4;
  const auto load = [&](int64_t p, int i) __attribute__((always_inline)) {
    return simd::load_lanes<simd::vector_bytes>(rows + p + i * t.b_stride, q * t.b_stride,
                                                simd::vector_width<T> / q);
  };
  const T* a = t.a;
  const auto add = [&](V column) __attribute__((always_inline)) {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) acc[i] = simd::fma(simd::broadcast(a[i]), column, acc[i]);
    a += t.a_step;
  };
  int64_t p = 0;
  for (; p + groups * q <= t.depth; p += groups * q) {
    V columns[groups][q];
#pragma GCC unroll 4
    for (int i = 0; i < q; ++i) {
#pragma GCC unroll 4
      for (int g = 0; g < groups; ++g) columns[g][i] = load(p + g * q, i);
    }
#pragma GCC unroll 4
    for (int g = 0; g < groups; ++g) {
      simd::transpose_lanes<T, simd::vector_bytes>(columns[g]);
#pragma GCC unroll 4
      for (int s = 0; s < q; ++s) add(columns[g][s]);
    }
  }
  while (p < t.depth) {
    const int64_t begin = p + q <= t.depth ? p : t.depth - q;
    V columns[q];
#pragma GCC unroll 4
    for (int i = 0; i < q; ++i) columns[i] = load(begin, i);
    simd::transpose_lanes<T, simd::vector_bytes>(columns);
#pragma GCC unroll 4
    for (int s = 0; s < q; ++s)
      if (begin + s >= p) add(columns[s]);
    p = begin + q;
  }
}

// C = A Bᵀ, at least a vector of columns and lane_width steps. The last vector overlaps the one before.
template <class T, int Rows>
void multiply_rows_transposed(const RowsCall<T>& t) {
  constexpr int w = simd::vector_width<T>;
  using V = simd::Vec<T>;
  for (int64_t j = 0; j < t.columns; j += w) {
    if (j + w > t.columns) j = t.columns - w;
    V acc[Rows] = {};
    transposed_chains<Rows>(t, t.b + j * t.b_stride, acc);
    store_finished(t, j, acc, WholeVector<T>{});
  }
}

// from (rows, depth), stored in any way -> to (depth, rows).
template <class T>
void pack_by_depth(const T* from, int64_t row_step, int64_t depth_step, int64_t rows, int64_t depth, T* to) {
  for (int64_t p = 0; p < depth; ++p) {
    for (int64_t i = 0; i < rows; ++i) *to++ = from[i * row_step + p * depth_step];
  }
}

// The kernels by rows - 1.
template <class T, bool Transposed, int... Index>
constexpr auto rows_kernels(std::integer_sequence<int, Index...>) {
  if constexpr (Transposed)
    return std::array<RowsKernel<T>, sizeof...(Index)>{multiply_rows_transposed<T, Index + 1>...};
  else
    return std::array<RowsKernel<T>, sizeof...(Index)>{multiply_rows<T, Index + 1>...};
}

}  // namespace bpcore::kernels
