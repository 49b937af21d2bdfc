#include "kernels/gemm.h"

#include <algorithm>
#include <array>
#include <limits>

#include "core/ranges.h"
#include "kernels/gemm_blocks.h"
#include "kernels/gemm_pack.h"
#include "kernels/gemm_tile.h"

namespace bpcore::kernels {
namespace {

// Elements a packed panel of A takes a step of k: whole vectors, so that packing can store vectors, but for
// AVX-512, whose masked stores keep the panel dense.
template <class T>
constexpr int64_t packed_stride =
    simd::vector_bytes == 64 ? gemm_blocks<T>().rows : round_up(gemm_blocks<T>().rows, simd::vector_width<T>);

// A product below this many operations is one task; every eightfold beyond it doubles the tasks.
constexpr double task_flops = 2e6;
constexpr int64_t most_tasks = 8;

constexpr int64_t pack_steps = 8;  // rows of a transposed A packed at a time

// Measured costs of packing, in cycles a byte, and of not packing, as shares of the time of the product.
constexpr double pack_byte = 0.09;
constexpr int64_t page_bytes =
    4096;  // rows a multiple of this apart fall in the same set of the level-1 cache
constexpr double near_steps = 0.08;    // transposed A: each step of k is another row
constexpr double far_steps = 0.25;     // ... in another page
constexpr double aliased_rows = 0.12;  // row-major A: a panel's rows in one set of the cache
constexpr double near_rows = 0.06;     // row-major B: each step of k is another row
constexpr double far_rows = 0.25;      // ... in another page

}  // namespace

template <class T>
Gemm<T>::Gemm(const GemmShape& shape) : shape_(shape) {
  constexpr GemmBlocks table = gemm_blocks<T>();
  const auto [m, n, k] = std::array{shape.m, shape.n, shape.k};
  const int vectors = m <= table.wide_rows ? table.wide_vectors : table.vectors;
  row_panels_ = std::max<int64_t>(1, ceil_div(m, table.rows));
  column_vectors_ = ceil_div(n, simd::vector_width<T>);
  column_panels_ = std::max<int64_t>(1, ceil_div(column_vectors_, vectors));
  panel_columns_ = vectors * simd::vector_width<T>;
  depth_blocks_ = std::max<int64_t>(1, ceil_div(k, table.depth));
  choose_tiles();
}

// Takes the grid of tiles and the packing of least cost, in estimated cycles for each step of k.
template <class T>
void Gemm<T>::choose_tiles() {
  const double m = static_cast<double>(shape_.m), n = static_cast<double>(shape_.n);
  const double flops = 2 * m * n * static_cast<double>(shape_.k);
  int64_t wanted = 1;
  for (double limit = task_flops; flops >= limit && wanted < most_tasks; limit *= 8) wanted *= 2;

  const double multiply = m * n / (2 * simd::vector_width<T>);
  const int64_t a_bytes = shape_.lda * static_cast<int64_t>(sizeof(T));
  const int64_t b_bytes = shape_.ldb * static_cast<int64_t>(sizeof(T));
  const double read_a = multiply * (shape_.transpose_a ? (a_bytes >= page_bytes ? far_steps : near_steps)
                                                       : (a_bytes % page_bytes == 0 ? aliased_rows : 0));
  const double read_b = multiply * (b_bytes >= page_bytes ? far_rows : near_rows);
  const int64_t least_rows = ceil_div(row_panels_, gemm_blocks<T>().row_panels);
  double least = std::numeric_limits<double>::infinity();
  for (int64_t split = 1; split <= wanted; split *= 2) {
    const int64_t rows = std::min(std::max(split, least_rows), row_panels_);
    const int64_t columns = std::min(ceil_div(wanted, rows), column_panels_);
    const double pack_a = pack_byte * sizeof(T) * m * static_cast<double>(columns);
    const double pack_b = pack_byte * sizeof(T) * n * static_cast<double>(rows);
    const double missing = static_cast<double>(wanted) / static_cast<double>(rows * columns);
    const double cost = std::min(pack_a, read_a) + (shape_.transpose_b ? pack_b : std::min(pack_b, read_b)) +
                        multiply * std::max(missing, 1.0);  // too few tiles leave threads idle
    if (cost < least) {
      least = cost;
      tile_rows_ = rows;
      tile_columns_ = columns;
      pack_a_ = pack_a < read_a;
      pack_b_ = shape_.transpose_b || pack_b < read_b;
    }
  }
  const int64_t depth = ceil_div(shape_.k, depth_blocks_);
  constexpr int64_t line_elements = 64 / sizeof(T);
  packed_a_ =
      pack_a_ ? round_up(ceil_div(row_panels_, tile_rows_) * depth * packed_stride<T>, line_elements) : 0;
  scratch_elements_ = packed_a_ + (pack_b_ ? round_up(depth * panel_columns_, line_elements) : 0);
}

template <class T>
typename Gemm<T>::Panels Gemm<T>::panels(int64_t task) const {
  const int64_t row = tile_columns_ == 1 ? task : task / tile_columns_;
  const int64_t column = task - row * tile_columns_;
  return {part_begin(row, row_panels_, tile_rows_), part_begin(row + 1, row_panels_, tile_rows_),
          part_begin(column, column_panels_, tile_columns_),
          part_begin(column + 1, column_panels_, tile_columns_)};
}

template <class T>
typename Gemm<T>::Tile Gemm<T>::tile(int64_t task) const {
  const Panels tile = panels(task);
  return {row_begin(tile.row_begin), row_begin(tile.row_end), column_begin(tile.column_begin),
          column_begin(tile.column_end)};
}

// The tile's rows of a block of A, from its first step of k, to packed (row panels, depth, packed_stride).
template <class T>
void Gemm<T>::pack_rows(const Panels& tile, const T* a, int64_t depth, T* packed) const {
  // A transposed A is read a few whole rows at a time: each cache line once, although panels share lines.
  const int64_t chunk = shape_.transpose_a ? pack_steps : depth;
  for (int64_t p = 0; p < depth; p += chunk) {
    const int64_t steps = std::min(chunk, depth - p);
    for (int64_t panel = tile.row_begin; panel < tile.row_end; ++panel) {
      const int64_t row = row_begin(panel);
      const int rows = static_cast<int>(row_begin(panel + 1) - row);
      T* target = packed + ((panel - tile.row_begin) * depth + p) * packed_stride<T>;
      if (shape_.transpose_a) {
        copy_panel(a + p * shape_.lda + row, shape_.lda, steps, rows, target, packed_stride<T>);
      } else {
        transpose_panel(a + row * shape_.lda, shape_.lda, depth, rows, target, packed_stride<T>);
      }
    }
  }
}

// For each block of k: packs the tile's rows of A if that pays, then takes B panel by panel. The panel stays
// in the level-1 cache while all panels of A stream past it from the level-2 cache.
template <class T>
void Gemm<T>::run(int64_t task, const T* a, const T* b, T* c, const T* bias, bool relu, T* scratch) const {
  constexpr int w = simd::vector_width<T>;
  const GemmShape& s = shape_;
  if (s.m == 0 || s.n == 0) return;
  const Panels tile = panels(task);
  T* packed_a = scratch;               // (row panels of the tile, depth, packed_stride)
  T* packed_b = packed_a + packed_a_;  // (depth, panel_columns_)
  const auto find =
      pack_a_ || s.transpose_a ? TileTable<T, TileA::ByDepth>::find : TileTable<T, TileA::RowMajor>::find;
  TileCall<T> call;
  call.c_stride = s.ldc;
  call.a_stride = pack_a_ ? packed_stride<T> : s.lda;
  call.b_stride = pack_b_ ? panel_columns_ : s.ldb;
  for (int64_t block = 0; block < depth_blocks_; ++block) {
    const int64_t step = part_begin(block, s.k, depth_blocks_);
    const bool last_block = block + 1 == depth_blocks_;
    call.depth = part_begin(block + 1, s.k, depth_blocks_) - step;
    call.accumulate = block > 0;
    call.relu = relu && last_block;
    const T* a_block = s.transpose_a ? a + step * s.lda : a + step;  // (m, depth) or (depth, m)
    const T* b_block = s.transpose_b ? b + step : b + step * s.ldb;  // (depth, n) or (n, depth)
    if (pack_a_) pack_rows(tile, a_block, call.depth, packed_a);

    for (int64_t strip = tile.column_begin; strip < tile.column_end; ++strip) {
      const int64_t column = column_begin(strip);
      const int columns = static_cast<int>(column_begin(strip + 1) - column);
      const int vectors = (columns + w - 1) / w;
      call.last_columns = columns - (vectors - 1) * w;
      call.bias = bias != nullptr && last_block ? bias + column : nullptr;
      call.b = pack_b_ ? packed_b : b_block + column;
      if (s.transpose_b) {
        transpose_panel(b_block + column * s.ldb, s.ldb, call.depth, columns, packed_b, panel_columns_);
      } else if (pack_b_) {
        copy_panel(b_block + column, s.ldb, call.depth, columns, packed_b, panel_columns_);
      }
      for (int64_t panel = tile.row_begin; panel < tile.row_end; ++panel) {
        const int64_t row = row_begin(panel);
        const int rows = static_cast<int>(row_begin(panel + 1) - row);
        call.a = pack_a_ ? packed_a + (panel - tile.row_begin) * call.depth * packed_stride<T>
                         : a_block + (s.transpose_a ? row : row * s.lda);
        call.c = c + row * s.ldc + column;
        find(rows, vectors, call.last_columns < w)(call);
      }
    }
  }
}

template class Gemm<float>;
template class Gemm<double>;

}  // namespace bpcore::kernels
