#include "kernels/gemm/gemm.h"

#include <algorithm>
#include <array>
#include <limits>

#include "core/ranges.h"
#include "kernels/gemm/blocks.h"
#include "kernels/gemm/column.h"
#include "kernels/gemm/narrow.h"
#include "kernels/gemm/pack.h"
#include "kernels/gemm/panel.h"
#include "kernels/gemm/rows.h"
#include "kernels/gemm/tile.h"

namespace bpcore::kernels {
namespace {

// Elements a packed panel of A takes a step of k: with room for the vectors that packing stores.
template <class T>
constexpr int64_t packed_stride = round_up(gemm_blocks<T>().rows, std::min(simd::vector_width<T>, 8));

// A product below this many operations is one task; every eightfold beyond it doubles the tasks.
constexpr double task_flops = 2e6;

// Matrices of more bytes together than this don't stay in the level-2 cache.
constexpr int64_t large_bytes = 2 << 20;

// How many times as large as A such a B is for a team to split its columns rather than the rows of A.
constexpr int64_t far_larger = 3;

// Rows that read such a large B as it stands, from row to row. A panel of columns reads one piece after the
// other of it, each from another page.
constexpr int64_t most_rows_in_place = 4;

// With more columns than this, a few that are left over are not worth reading A once more.
template <class T>
constexpr int64_t most_columns_with_narrow = 8 * simd::vector_width<T>;

// Nor is reading a column of lines of a transposed A, if they are further apart.
constexpr int64_t far_bytes = 8192;

// Measured costs of packing, in cycles a byte, and of not packing, as shares of the time of the product.
constexpr double pack_byte = 0.09;
constexpr int64_t page_bytes =
    4096;  // rows a multiple of this apart fall in the same set of the level-1 cache
constexpr double near_steps = 0.08;    // transposed A: each step of k is another row
constexpr double far_steps = 0.25;     // ... in another page
constexpr double aliased_rows = 0.12;  // row-major A: a panel's rows in one set of the cache
constexpr double paged_rows = 0.03;    // ... in pages of their own
constexpr double near_rows = 0.06;     // row-major B: each step of k is another row
constexpr double far_rows = 0.25;      // ... in another page

}  // namespace

template <class T>
Gemm<T>::Gemm(const GemmShape& shape, int64_t most_tasks) : shape_(shape) {
  constexpr GemmBlocks table = gemm_blocks<T>();
  const auto [m, n, k] = std::array{shape.m, shape.n, shape.k};
  const bool large = (m * n + n * k + k * m) * static_cast<int64_t>(sizeof(T)) > large_bytes;
  const TileLimits tile = large && m > table.wide_rows && !fits_level1<T>(table.wide_vectors)
                              ? TileLimits{table.rows, table.vectors}  // wide panels of B would be far larger
                              : tile_limits<T>(m, ceil_div(n, simd::vector_width<T>));
  panel_rows_ = tile.rows;
  row_panels_ = std::max<int64_t>(1, ceil_div(m, panel_rows_));
  const int64_t last = n % simd::vector_width<T>;
  const bool near = !shape.transpose_a || shape.lda * static_cast<int64_t>(sizeof(T)) <= far_bytes;
  const bool narrow = near && n <= most_columns_with_narrow<T> && m >= simd::vector_width<T> &&
                      k >= simd::lane_width<T> && worth_narrow<T>(last, shape.transpose_a);
  // One vector that is left has too few chains, and a load for each multiply-add.
  const bool lone = n / simd::vector_width<T> == 1;
  wide_ = narrow && !lone ? n - last : n;
  column_vectors_ = ceil_div(wide_, simd::vector_width<T>);
  column_panels_ = std::max<int64_t>(1, ceil_div(column_vectors_, tile.vectors));
  panel_columns_ = tile.vectors * simd::vector_width<T>;
  depth_blocks_ = std::max<int64_t>(1, ceil_div(k, most_depth<T>(tile.vectors)));
  row_cut_ = Cut(m, row_panels_);
  vector_cut_ = Cut(column_vectors_, column_panels_);
  depth_cut_ = Cut(k, depth_blocks_);
  choose_tiles(most_tasks, large);
  fetch_ = large || tasks() > 1;
  // Kernels for few rows begin with more columns than a panel's, so that none of their tiles is narrow. A
  // transposed B wants wide vectors: each has one chain a row, whose steps wait for each other.
  const bool few = shape.transpose_b ? row_panels_ == 1 && simd::vector_bytes == 64
                                     : m == 1 || (m <= most_rows_in_place && large);
  rows_ = few && m > 0 && column_panels_ > 1 && k >= simd::lane_width<T>;
  // Rows of A, or narrow columns of B, by depth: before anything is packed.
  const int64_t by_depth = shape.transpose_b ? k * std::max(rows_ ? m : 0, n - wide_) : 0;
  scratch_elements_ = std::max(scratch_elements_, round_up(by_depth, line_elements<T>));
  column_ = n == 1 && !shape.transpose_a && (shape.transpose_b || shape.ldb == 1);
}

// Takes the grid of tiles and the packing of least cost, in estimated cycles for each step of k.
template <class T>
void Gemm<T>::choose_tiles(int64_t most_tasks, bool large) {
  const double m = static_cast<double>(shape_.m), n = static_cast<double>(shape_.n);
  const double flops = 2 * m * n * static_cast<double>(shape_.k);
  int64_t wanted = 1;
  for (double limit = task_flops; flops >= limit && wanted < most_tasks; limit *= 8) wanted *= 2;

  const double multiply = m * n / (2 * simd::vector_width<T>);
  const int64_t a_bytes = shape_.lda * static_cast<int64_t>(sizeof(T));
  const int64_t b_bytes = shape_.ldb * static_cast<int64_t>(sizeof(T));
  double reading;
  if (shape_.transpose_a)
    reading = a_bytes >= page_bytes ? far_steps : near_steps;
  else
    reading = a_bytes % page_bytes == 0 ? aliased_rows : a_bytes >= page_bytes / 2 ? paged_rows : 0;
  const double read_a = multiply * reading;
  const double read_b = multiply * (b_bytes >= page_bytes ? far_rows : near_rows);
  // If several, as many for each of the threads: one tile more would be waited for by all the others.
  int64_t least_rows = ceil_div(row_panels_, gemm_blocks<T>().row_panels);
  if (least_rows > 1) least_rows = round_up(least_rows, std::max<int64_t>(wanted / 2, 1));
  double least = std::numeric_limits<double>::infinity();
  // Rows of a row-major A are best taken by the thread that has just made them, unless all of a far larger B
  // would be read, and packed, by every thread for it.
  const bool any_split = shape_.transpose_a || (large && shape_.n >= far_larger * shape_.m);
  for (int64_t split = any_split ? 1 : wanted; split <= wanted; split *= 2) {
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
  packed_a_ =
      pack_a_ ? round_up(ceil_div(row_panels_, tile_rows_) * depth * packed_stride<T>, line_elements<T>) : 0;
  scratch_elements_ = packed_a_ + (pack_b_ ? round_up(depth * panel_columns_, line_elements<T>) : 0);
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
          tile.column_end == column_panels_ ? shape_.n : column_begin(tile.column_end)};
}

// What the kernel for panel `number` of a strip fetches meanwhile: of the next strip's B, the part that is
// its share. Panels come in order, so all of B is there when the strip begins, if there are enough panels.
template <class T>
Ahead<T> Gemm<T>::next_of_b(const T* b_block, int64_t depth, int64_t column, int64_t number) const {
  const int64_t rows = panel_rows_, columns = std::min(panel_columns_, wide_ - column);
  if (!shape_.transpose_b) {
    const int64_t step = number * rows;
    if (step + rows > depth) return {};
    return {b_block + step * shape_.ldb + column, shape_.ldb, line_elements<T>,
            static_cast<int>(ceil_div(columns, line_elements<T>))};
  }
  constexpr int lines = 4;
  const int64_t groups = ceil_div(columns, rows), group = number % groups;
  const int64_t step = number / groups * lines * line_elements<T>;
  if (step >= depth || group * rows + rows > columns) return {};
  return {b_block + (column + group * rows) * shape_.ldb + step, shape_.ldb, line_elements<T>, lines};
}

// The panel of A from `row`, whole.
template <class T>
Ahead<T> Gemm<T>::next_of_a(const T* a_block, int64_t depth, int64_t row) const {
  const int64_t rows = panel_rows_;
  if (row + rows > shape_.m) return {};
  if (!shape_.transpose_a)
    return {a_block + row * shape_.lda, shape_.lda, line_elements<T>,
            static_cast<int>(ceil_div(depth, line_elements<T>))};
  const int64_t steps = depth / rows;  // a row of the kernel fetches as many rows of A
  return {a_block + row, steps * shape_.lda, shape_.lda, static_cast<int>(steps)};
}

// Part `part` of `parts` of the lines of each row from `row`.
template <class T>
Ahead<T> share_of(const ReadNext<T>& next, int64_t row, int64_t part, int64_t parts) {
  const int64_t lines = ceil_div(next.columns, line_elements<T>);
  const int64_t begin = lines * part / parts, end = lines * (part + 1) / parts;
  return {next.begin + row * next.stride + begin * line_elements<T>, next.stride, line_elements<T>,
          static_cast<int>(end - begin)};
}

template <class T>
void Gemm<T>::run_rows(const Tile& tile, const T* a, const T* b, T* c, const Epilogue<T>& epilogue,
                       T* scratch) const {
  static constexpr auto plain = rows_kernels<T, false>(std::make_integer_sequence<int, panel_rows<T>>{});
  static constexpr auto transposed = rows_kernels<T, true>(std::make_integer_sequence<int, panel_rows<T>>{});
  const GemmShape& s = shape_;
  const int64_t column = tile.column_begin;
  RowsCall<T> call{};
  call.a = a;
  call.a_row = s.transpose_a ? 1 : s.lda;
  call.a_step = s.transpose_a ? s.lda : 1;
  if (s.transpose_b && call.a_row > 1 && s.m > 1) {
    pack_by_depth(a, call.a_row, call.a_step, s.m, s.k, scratch);
    call.a = scratch;
    call.a_row = 1;
    call.a_step = s.m;
  }
  call.b = b + column * (s.transpose_b ? s.ldb : 1);
  call.b_stride = s.ldb;
  call.c = c + column;
  call.c_stride = s.ldc;
  call.depth = s.k;
  call.columns = tile.column_end - column;
  call.epilogue = epilogue.at(column, column);
  (s.transpose_b ? transposed : plain)[s.m - 1](call);
}

// The narrow columns of the rows of a tile. Of a packed B they follow the strips, (k, n - wide).
template <class T>
void Gemm<T>::run_narrow(const Panels& tile, const T* a, const T* b, const T* packed_b, T* c,
                         const Epilogue<T>& epilogue, T* scratch) const {
  static constexpr auto plain = narrow_kernels<T, false>(std::make_integer_sequence<int, most_narrow>{});
  static constexpr auto transposed = narrow_kernels<T, true>(std::make_integer_sequence<int, most_narrow>{});
  const GemmShape& s = shape_;
  const int64_t columns = s.n - wide_;
  NarrowCall<T> call{{}, s.m, row_begin(tile.row_begin), row_begin(tile.row_end)};
  RowsCall<T>& t = call.transposed;
  t.a_row = 1;
  t.a_step = columns;
  if (packed_b != nullptr) {
    t.a = packed_b + packed_offset(depth_blocks_, 0);
  } else if (s.transpose_b) {
    pack_by_depth(b + wide_ * s.ldb, s.ldb, int64_t{1}, columns, s.k, scratch);
    t.a = scratch;
  } else {
    t.a = b + wide_;
    t.a_step = s.ldb;
  }
  t.b = a;
  t.b_stride = s.lda;
  t.c = c + wide_;
  t.c_stride = s.ldc;
  t.depth = s.k;
  t.epilogue = epilogue.at(wide_, wide_);
  (s.transpose_a ? transposed : plain)[columns - 1](call);
}

template <class T>
void Gemm<T>::run_column(const Tile& tile, const T* a, const T* b, T* c, const Epilogue<T>& epilogue) const {
  const GemmShape& s = shape_;
  multiply_column(a + tile.row_begin * s.lda, s.lda, b, tile.row_end - tile.row_begin, s.k,
                  c + tile.row_begin * s.ldc, s.ldc);
  for (int64_t row = tile.row_begin; row < tile.row_end; ++row) {
    T& value = c[row * s.ldc];
    value = finish(epilogue.at(row * s.ldc, 0), value);
  }
}

template <class T>
void Gemm<T>::pack_strip(const T* b_block, int64_t depth, int64_t strip, T* packed) const {
  const int64_t column = column_begin(strip);
  const int columns = static_cast<int>(column_begin(strip + 1) - column);
  if (shape_.transpose_b)
    transpose_panel(b_block + column * shape_.ldb, shape_.ldb, depth, columns, packed, panel_columns_);
  else
    copy_panel(b_block + column, shape_.ldb, depth, columns, packed, panel_columns_);
}

template <class T>
int64_t Gemm<T>::packed_b_elements() const {
  const int64_t columns = column_panels_ * panel_columns_ + shape_.n - wide_;
  return round_up(column_ ? shape_.k : shape_.k * columns, line_elements<T>);
}

template <class T>
void Gemm<T>::pack_b(const T* b, T* packed) const {
  if (shape_.n == 0 || shape_.k == 0) return;
  if (column_) {
    std::copy(b, b + shape_.k, packed);
    return;
  }
  const int64_t strips = wide_ > 0 ? column_panels_ : 0;
  for (int64_t block = 0; block < depth_blocks_; ++block) {
    const int64_t step = depth_cut_.begin(block), depth = depth_cut_.begin(block + 1) - step;
    for (int64_t strip = 0; strip < strips; ++strip)
      pack_strip(block_of_b(b, step), depth, strip, packed + packed_offset(block, strip));
  }
  const int64_t column_step = shape_.transpose_b ? shape_.ldb : 1, step = shape_.transpose_b ? 1 : shape_.ldb;
  pack_by_depth(b + wide_ * column_step, column_step, step, shape_.n - wide_, shape_.k,
                packed + packed_offset(depth_blocks_, 0));
}

// For each block of k: takes B panel by panel. The panel stays in the level-1 cache while all panels of A,
// packed on their first use if that pays, stream past it from the level-2 cache.
template <class T>
void Gemm<T>::multiply(int64_t task, const T* a, const T* b, const T* packed_b, T* c,
                       const Epilogue<T>& epilogue, const ReadNext<T>& next, T* scratch) const {
  constexpr int w = simd::vector_width<T>;
  const GemmShape& s = shape_;
  if (s.m == 0 || s.n == 0) return;
  if (column_) return run_column(this->tile(task), a, packed_b != nullptr ? packed_b : b, c, epilogue);
  if (rows_ && packed_b == nullptr) return run_rows(this->tile(task), a, b, c, epilogue, scratch);
  const Panels tile = panels(task);
  if (wide_ < s.n && tile.column_end == column_panels_)
    run_narrow(tile, a, b, packed_b, c, epilogue, scratch);
  if (wide_ == 0) return;
  T* packed_a = scratch;                   // (row panels of the tile, depth, packed_stride)
  T* packed_strip = packed_a + packed_a_;  // (depth, panel_columns_)
  const auto find =
      pack_a_ || s.transpose_a ? TileTable<T, TileA::ByDepth>::find : TileTable<T, TileA::RowMajor>::find;
  TileCall<T> call{};
  call.c_stride = s.ldc;
  call.a_stride = pack_a_ ? packed_stride<T> : s.lda;
  const bool pack = packed_b == nullptr && pack_b_;
  call.b_stride = pack || packed_b != nullptr ? panel_columns_ : s.ldb;
  const int64_t strips = tile.column_end - tile.column_begin;
  for (int64_t block = 0; block < depth_blocks_; ++block) {
    const int64_t step = depth_cut_.begin(block);
    const bool last_block = block + 1 == depth_blocks_;
    call.depth = depth_cut_.begin(block + 1) - step;
    call.accumulate = block > 0;
    const T* a_block = s.transpose_a ? a + step * s.lda : a + step;  // (m, depth) or (depth, m)
    const T* b_block = packed_b == nullptr ? block_of_b(b, step) : nullptr;
    for (int64_t strip = tile.column_begin; strip < tile.column_end; ++strip) {
      const int64_t column = column_begin(strip);
      const int columns = static_cast<int>(column_begin(strip + 1) - column);
      const int vectors = (columns + w - 1) / w;
      call.last_columns = columns - (vectors - 1) * w;
      if (pack) pack_strip(b_block, call.depth, strip, packed_strip);
      call.b = packed_b != nullptr ? packed_b + packed_offset(block, strip)
               : pack              ? packed_strip
                                   : b_block + column;
      for (int64_t panel = tile.row_begin; panel < tile.row_end; ++panel) {
        const int64_t row = row_begin(panel);
        const int rows = static_cast<int>(row_begin(panel + 1) - row);
        const bool first_strip = strip == tile.column_begin, last_strip = strip + 1 == tile.column_end;
        const bool last_panel = panel + 1 == tile.row_end;
        call.a = a_block + (s.transpose_a ? row : row * s.lda);
        if (pack_a_) {
          T* packed = packed_a + (panel - tile.row_begin) * call.depth * packed_stride<T>;
          if (first_strip && s.transpose_a)
            copy_panel(call.a, s.lda, call.depth, rows, packed, packed_stride<T>);
          else if (first_strip)
            transpose_panel(call.a, s.lda, call.depth, rows, packed, packed_stride<T>);
          call.a = packed;
        }
        const int64_t offset = row * s.ldc + column;
        call.c = c + offset;
        call.epilogue = last_block ? epilogue.at(offset, column) : Epilogue<T>{};
        if (fetch_ || next.begin != nullptr) {
          call.next_c = last_panel ? c + row_begin(tile.row_begin) * s.ldc +
                                         column_begin(last_strip ? tile.column_begin : strip + 1)
                                   : c + row_begin(panel + 1) * s.ldc + column;
          call.ahead = {};
          if (next.begin != nullptr)
            call.ahead =
                share_of(next, row, block * strips + strip - tile.column_begin, depth_blocks_ * strips);
          else if (first_strip && !last_panel)
            call.ahead = next_of_a(a_block, call.depth, row_begin(panel + 1));
          else if (!last_strip && packed_b == nullptr)
            call.ahead = next_of_b(b_block, call.depth, column_begin(strip + 1), panel - tile.row_begin);
        }
        find(rows, vectors, call.last_columns < w)(call);
      }
    }
  }
}

template <class T>
void multiply_panel(TileA layout, const PanelProduct<T>& product) {
  constexpr int w = simd::vector_width<T>;
  const auto find =
      layout == TileA::ByDepth ? TileTable<T, TileA::ByDepth>::find : TileTable<T, TileA::RowMajor>::find;
  const int64_t vectors = ceil_div(product.columns, w), strips = ceil_div(vectors, gemm_blocks<T>().vectors);
  TileCall<T> call{};
  call.a = product.a;
  call.a_stride = product.a_stride;
  call.b_stride = product.b_stride;
  call.c_stride = product.c_stride;
  call.depth = product.depth;
  call.accumulate = product.accumulate;
  for (int64_t strip = 0, begin = 0; strip < strips; ++strip) {
    const int64_t end = strips == 1 ? vectors : vectors * (strip + 1) / strips;
    const bool last = strip + 1 == strips;
    call.last_columns = static_cast<int>(last ? product.columns - (vectors - 1) * w : w);
    call.b = product.b + begin * w;
    call.c = product.c + begin * w;
    find(static_cast<int>(product.rows), static_cast<int>(end - begin), call.last_columns < w)(call);
    begin = end;
  }
}

template void multiply_panel(TileA, const PanelProduct<float>&);
template void multiply_panel(TileA, const PanelProduct<double>&);

template class Gemm<float>;
template class Gemm<double>;

}  // namespace bpcore::kernels
