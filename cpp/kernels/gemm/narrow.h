// Products of so few columns that most of a vector of them would be empty: vectors go down the rows of C
// instead.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/gemm/rows.h"
#include "kernels/simd.h"
#include "kernels/transpose.h"

namespace bpcore::kernels {

inline constexpr int most_narrow = 10;  // columns: as many accumulators, beside a few steps of A

// Whether the last columns of C, `count` of them, are faster so. A step of k costs a multiply-add a column
// instead of one a row, and where A is row-major the shuffles that transpose it.
template <class T>
constexpr bool worth_narrow(int64_t count, bool transpose_a) {
  constexpr int w = simd::vector_width<T>, q = simd::lane_width<T>;
  constexpr int shuffles = w / q - 1 + (q == 4 ? 2 : 1);
  return count > 0 && count <= most_narrow && count + (transpose_a ? 0 : shuffles) < w;
}

// Cᵀ = Bᵀ Aᵀ: what RowsCall names A is B, stored (depth, columns of C); its B is A, stored (rows of C, depth)
// or (depth, rows of C). C and its epilogue are (rows, columns) as ever.
template <class T>
struct NarrowCall {
  RowsCall<T> transposed;
  int64_t rows;        // of C, at least a vector
  int64_t begin, end;  // those to compute
};

template <class T>
using NarrowKernel = void (*)(const NarrowCall<T>&);

// Rows begin ... end - 1 of C, of the vectors of columns whose lanes are the rows from `row`.
template <int Columns, class T>
BPCORE_INLINE void store_columns(const RowsCall<T>& t, int64_t row, int64_t begin, int64_t end,
                                 simd::Vec<T> (&acc)[Columns]) {
  constexpr int w = simd::vector_width<T>, q = simd::lane_width<T>, whole = Columns / q * q;
  using V = simd::Vec<T>;
  // What is the same for all rows by vectors, the rest when rows are written.
  const Epilogue<T>& e = t.epilogue;
  const bool relu_first = e.relu && e.plus == nullptr;
#pragma GCC unroll 16
  for (int i = 0; i < Columns; ++i) {
    if (e.bias != nullptr) acc[i] += simd::broadcast(e.bias[i]);
    if (relu_first) acc[i] = simd::relu(acc[i]);
  }
  const Epilogue<T> rest{nullptr, e.plus, e.relu && !relu_first, e.where};
  T values[Columns][w];
#pragma GCC unroll 4
  for (int i = 0; i < whole; i += q) {  // pieces of rows, q columns each
    V pieces[q];
#pragma GCC unroll 4
    for (int p = 0; p < q; ++p) pieces[p] = acc[i + p];
    simd::transpose_lanes<T, simd::vector_bytes>(pieces);
    std::memcpy(values[i], pieces, sizeof pieces);
  }
#pragma GCC unroll 4
  for (int i = whole; i < Columns; ++i) simd::store(values[i], acc[i]);
  for (int64_t lane = begin - row; lane < end - row; ++lane) {
    T* c = t.c + (row + lane) * t.c_stride;
#pragma GCC unroll 4
    for (int i = 0; i < whole; i += q) std::memcpy(c + i, values[i + lane % q] + lane / q * q, q * sizeof(T));
#pragma GCC unroll 4
    for (int i = whole; i < Columns; ++i) c[i] = values[i][lane];
    if (rest.plus == nullptr && rest.where == nullptr) continue;
    for (int i = 0; i < Columns; ++i) c[i] = finish(rest.at((row + lane) * t.c_stride + i, i), c[i]);
  }
}

template <class T, int Columns, bool TransposeA>
void multiply_narrow(const NarrowCall<T>& call) {
  constexpr int w = simd::vector_width<T>;
  using V = simd::Vec<T>;
  const RowsCall<T>& t = call.transposed;
  for (int64_t begin = call.begin; begin < call.end; begin += w) {
    const int64_t row = begin + w <= call.rows ? begin : call.rows - w;
    V acc[Columns] = {};
    if constexpr (TransposeA) {
      const T *a = t.a, *column = t.b + row;
      for (int64_t p = 0; p < t.depth; ++p) {
        const V x = simd::load(column);
#pragma GCC unroll 16
        for (int i = 0; i < Columns; ++i) acc[i] = simd::fma(simd::broadcast(a[i]), x, acc[i]);
        a += t.a_step;
        column += t.b_stride;
      }
    } else {
      transposed_chains<Columns>(t, t.b + row * t.b_stride, acc);
    }
    store_columns<Columns>(t, row, begin, begin + w <= call.end ? begin + w : call.end, acc);
  }
}

// The kernels by columns - 1.
template <class T, bool TransposeA, int... Index>
constexpr auto narrow_kernels(std::integer_sequence<int, Index...>) {
  return std::array<NarrowKernel<T>, sizeof...(Index)>{multiply_narrow<T, Index + 1, TransposeA>...};
}

}  // namespace bpcore::kernels
