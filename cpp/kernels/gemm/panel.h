// Products of a few rows, for kernels that are made of many small ones.
#pragma once

#include <cstdint>

#include "kernels/gemm/blocks.h"
#include "kernels/gemm/tile.h"

namespace bpcore::kernels {

// The most rows of a panel.
template <class T>
inline constexpr int panel_rows = gemm_blocks<T>().rows;

template <class T>
struct PanelProduct {
  const T* a;  // (rows, depth), or (depth, rows) for TileA::ByDepth
  int64_t a_stride;
  const T* b;  // (depth, columns)
  int64_t b_stride;
  T* c;  // (rows, columns)
  int64_t c_stride;
  int64_t rows, columns, depth;  // 1 <= rows <= panel_rows, columns >= 1
  bool accumulate = false;       // C += instead of C =
};

// C = A B, each element one chain of fused multiply-adds in the order of the depth, from zero or from C.
template <class T>
void multiply_panel(TileA layout, const PanelProduct<T>& product);

extern template void multiply_panel(TileA, const PanelProduct<float>&);
extern template void multiply_panel(TileA, const PanelProduct<double>&);

}  // namespace bpcore::kernels
