// Block sizes of the matrix product, one line per register file.
#pragma once

#include <cstdint>

#include "kernels/simd.h"

namespace bpcore::kernels {

struct GemmBlocks {
  int rows;          // most rows of C a micro-kernel holds in registers
  int vectors;       // vectors of C's columns beside each other, for products of many rows
  int wide_rows;     // products of no more rows than this ...
  int wide_vectors;  // ... take this many vectors instead: one row alone needs the independent chains
  int depth;         // most steps of k at a time: a panel of B (depth, vectors) stays in the level-1 cache
  int row_panels;    // most panels of A in a tile: (row_panels, depth, rows) is half a MiB of level-2 cache
};

// rows * vectors accumulators, a row of B (vectors) and one broadcast element of A must fit in the registers,
// and two FMA ports of latency 4 want at least 8 accumulators. A panel of B stays in the level-1 cache while
// panels of A stream past it, so few rows and many vectors keep the stream thin.
template <class T>
constexpr GemmBlocks gemm_blocks() {
#if defined(__AVX512F__)
  return {8, 3, 4, 4, 192, 340 / static_cast<int>(sizeof(T))};  // 32 registers of 64 bytes: 24 + 3 + 1
#elif defined(__AVX2__)
  return {6, 2, 2, 4, 256, 352 / static_cast<int>(sizeof(T))};  // 16 registers of 32 bytes: 12 + 2 + 1
#elif defined(__aarch64__)
  return {8, 2, 4, 4, 256, 256 / static_cast<int>(sizeof(T))};  // 32 registers of 16 bytes: 16 + 2 + 1
#else
  return {4, 2, 2, 4, 256, 512 / static_cast<int>(sizeof(T))};  // 16 of 16 bytes, some for unfused products
#endif
}

template <class T>
inline constexpr int64_t line_elements = 64 / static_cast<int64_t>(sizeof(T));  // of a cache line

}  // namespace bpcore::kernels
