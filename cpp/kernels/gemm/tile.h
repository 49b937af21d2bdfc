// Micro-kernels of the matrix product: a tile of C that fits in the registers.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "kernels/gemm/blocks.h"
#include "kernels/gemm/epilogue.h"
#include "kernels/simd.h"

namespace bpcore::kernels {

// Memory that will be wanted soon: `rows` of a tile, `lines` cache lines each.
template <class T>
struct Ahead {
  const T* begin;
  int64_t row_step, line_step;  // elements from one row, from one line to the next
  int lines;
};

template <class T>
struct TileCall {
  const T* a;  // (rows, depth) or (depth, rows), see TileA
  const T* b;  // (depth, columns), stride b_stride
  T* c;        // (rows, columns), stride c_stride
  Epilogue<T> epilogue;
  int64_t depth;
  int64_t a_stride, b_stride, c_stride;
  int last_columns;          // columns in the last vector, 1 ... vector_width; only masked kernels look
  bool accumulate;           // go on from what C holds instead of from zero
  const int64_t* runs;       // of A in runs: where each begins, from `a`; a run has `depth` steps, B goes on
  int64_t run_count, b_gap;  // b_gap: elements of B that are left out behind each run
  const T* next_c;           // the tile of C that is next, or null: fetch nothing ahead
  Ahead<T> ahead;            // as many rows as the tile has
};

enum class TileA {
  RowMajor,      // element (i, p) at i * a_stride + p: A as it stands
  ByDepth,       // element (i, p) at p * a_stride + i: a packed panel, or a transposed A as it stands
  RowMajorRuns,  // the same two, where the steps of k lie in runs with gaps between
  ByDepthRuns,
};

template <class T>
using TileKernel = void (*)(const TileCall<T>&);

// C (Rows, Vectors * vector_width) = [C +] A B then the epilogue. Each element is one chain of fused
// multiply-adds in the order of k, the same in every kernel. All loops over registers must be unrolled fully,
// or the compiler keeps the accumulators in memory.
template <class T, int Rows, int Vectors, TileA Layout, bool Masked>
void gemm_tile(const TileCall<T>& t) {
  using V = simd::Vec<T>;
  constexpr int w = simd::vector_width<T>;
  constexpr bool by_depth = Layout == TileA::ByDepth || Layout == TileA::ByDepthRuns;
  constexpr bool in_runs = Layout == TileA::RowMajorRuns || Layout == TileA::ByDepthRuns;
  const simd::Mask<T> mask(Masked ? t.last_columns : w);
  const auto load = [mask](const T* row, int v) {
    return Masked && v == Vectors - 1 ? simd::load(row + v * w, mask) : simd::load(row + v * w);
  };

  V acc[Rows][Vectors];
  const int64_t c_stride = t.c_stride;
  if (t.epilogue.plus != nullptr) {  // there when the product is
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) simd::prefetch(t.epilogue.plus + i * c_stride + v * w);
    }
  }
  if (t.accumulate) {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) acc[i][v] = load(t.c + i * c_stride, v);
    }
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) acc[i][v] = V{};
    }
  }

  const T* a = t.a;
  const T* b = t.b;
  const int64_t a_stride = t.a_stride, b_stride = t.b_stride;
  const auto multiply = [&](int64_t steps) {
    for (; steps > 0; --steps) {
      V row[Vectors];
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) row[v] = load(b, v);
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) {
        const V x = simd::broadcast(by_depth ? a[i] : a[i * a_stride]);
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) acc[i][v] = simd::fma(x, row[v], acc[i][v]);
      }
      a += by_depth ? a_stride : 1;
      b += b_stride;
    }
  };
  if constexpr (in_runs) {
    for (int64_t run = 0; run < t.run_count; ++run) {
      a = t.a + t.runs[run];
      multiply(t.depth);
      b += t.b_gap;
    }
  } else {
    int64_t rest = t.depth;
    if (t.next_c != nullptr) {  // a few lines at a time, or they would wait for each other
      const T* next_c = t.next_c;
      const T* ahead = t.ahead.begin;
      const int64_t part = t.depth / (Rows + 1);
      for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) simd::prefetch_to_write(next_c + v * w);
        for (int line = 0; line < t.ahead.lines; ++line) simd::prefetch(ahead + line * t.ahead.line_step);
        next_c += c_stride;
        ahead += t.ahead.row_step;
        multiply(part);
      }
      rest -= Rows * part;
    }
    multiply(rest);
  }

  finish(t.epilogue, c_stride, acc, load);
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) {
    T* c = t.c + i * c_stride;
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      if (Masked && v == Vectors - 1) {
        simd::store(c + v * w, acc[i][v], mask);
      } else {
        simd::store(c + v * w, acc[i][v]);
      }
    }
  }
}

// The kernels of one layout of A by rows - 1, vectors - 1 and whether the last vector is a partial one.
template <class T, TileA Layout>
class TileTable {
 public:
  static constexpr TileKernel<T> find(int rows, int vectors, bool masked) {
    return tiles[(rows - 1) * most_vectors + vectors - 1][masked];
  }

 private:
  static constexpr GemmBlocks table = gemm_blocks<T>();
  static constexpr int most_vectors = table.wide_vectors;
  using Pair = std::array<TileKernel<T>, 2>;

  template <int Rows, int Vectors>
  static constexpr Pair pair() {
    if constexpr (Vectors > table.vectors && Rows > table.wide_rows) {
      return {nullptr, nullptr};
    } else if constexpr (Vectors == 1) {  // always a tail: not worth a kernel without the mask
      return {gemm_tile<T, Rows, 1, Layout, true>, gemm_tile<T, Rows, 1, Layout, true>};
    } else {
      return {gemm_tile<T, Rows, Vectors, Layout, false>, gemm_tile<T, Rows, Vectors, Layout, true>};
    }
  }

  template <int... Index>
  static constexpr auto make(std::integer_sequence<int, Index...>) {
    return std::array<Pair, sizeof...(Index)>{pair<Index / most_vectors + 1, Index % most_vectors + 1>()...};
  }

  static constexpr auto tiles = make(std::make_integer_sequence<int, table.rows * most_vectors>{});
};

}  // namespace bpcore::kernels
