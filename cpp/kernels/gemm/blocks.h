// Block sizes of the matrix product, one line per register file.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/cache.h"
#include "core/ranges.h"
#include "kernels/simd.h"

namespace bpcore::kernels {

struct GemmBlocks {
  int rows;          // most rows of C a micro-kernel holds in registers
  int vectors;       // vectors of C's columns beside each other, for products of many rows
  int wide_rows;     // products of no more rows than this ...
  int wide_vectors;  // ... take this many vectors instead: one row alone needs the independent chains
  int depth;         // steps of k for which 48 KiB of level-1 cache keep a panel of B (depth, vectors):
                     // convolutions cut their blocks by it, products by the cache that there is
  int most_depth;    // most steps of k at a time, and how many if a level-1 cache is small: the panel of B
                     // comes from the level-2 cache in part, but C is read and written less often
  int row_panels;    // most panels of A in a tile: (row_panels, most_depth, rows) is half a MiB of that cache
};

// rows * vectors accumulators, a row of B (vectors) and one broadcast element of A must fit in the registers,
// and two FMA ports of latency 4 want at least 8 accumulators. A panel of B stays in the level-1 cache while
// panels of A stream past it, so few rows and many vectors keep the stream thin.
template <class T>
constexpr GemmBlocks gemm_blocks() {
#if defined(__AVX512F__)
  return {8, 3, 6, 4, 192, 272, 240 / static_cast<int>(sizeof(T))};  // 32 registers of 64 bytes: 24 + 3 + 1
#elif defined(__AVX2__)
  return {6, 2, 2, 4, 256, 256, 352 / static_cast<int>(sizeof(T))};  // 16 registers of 32 bytes: 12 + 2 + 1
#elif defined(__aarch64__)
  return {8, 2, 4, 4, 256, 256, 256 / static_cast<int>(sizeof(T))};  // 32 registers of 16 bytes: 16 + 2 + 1
#else
  return {4, 2, 2, 4, 256, 256, 512 / static_cast<int>(sizeof(T))};  // 16 of 16 bytes; unfused products
#endif
}

// Most rows and most vectors of a tile.
struct TileLimits {
  int rows, vectors;
};

// Of tiles for `rows` rows and `vectors` vectors of C: wide ones where the others would have too few chains,
// or where as large ones make fewer strips of columns: larger tiles have less around their products.
template <class T>
constexpr TileLimits tile_limits(int64_t rows, int64_t vectors) {
  constexpr GemmBlocks table = gemm_blocks<T>();
  const bool as_large = table.wide_rows * table.wide_vectors >= table.rows * table.vectors;
  const bool fewer = ceil_div(vectors, table.wide_vectors) < ceil_div(vectors, table.vectors);
  if (rows <= table.wide_rows || (as_large && fewer)) return {table.wide_rows, table.wide_vectors};
  return {table.rows, table.vectors};
}

// Steps of k for which two thirds of the level-1 cache hold a panel of B (depth, vectors); the rest is for
// what streams past it.
inline int64_t depth_in_level1(int vectors) {
  return level1_bytes() * 2 / 3 / (vectors * simd::vector_bytes);
}

// Whether that is enough: C is read and written once for so many steps.
template <class T>
bool fits_level1(int vectors) {
  return depth_in_level1(vectors) >= gemm_blocks<T>().depth * 2 / 3;
}

// Steps of k at a time in panels of B of so many vectors.
template <class T>
int64_t most_depth(int vectors) {
  constexpr GemmBlocks table = gemm_blocks<T>();
  return fits_level1<T>(vectors) ? std::min<int64_t>(depth_in_level1(vectors), table.most_depth)
                                 : table.most_depth;
}

// Of a cache line.
template <class T>
inline constexpr int64_t line_elements = simd::line_bytes / static_cast<int64_t>(sizeof(T));

}  // namespace bpcore::kernels
