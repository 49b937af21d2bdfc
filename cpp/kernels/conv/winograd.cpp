#include "kernels/conv/winograd.h"

#include <algorithm>

#include "kernels/gemm/blocks.h"
#include "kernels/gemm/pack.h"
#include "kernels/gemm/tile.h"

namespace bpcore::kernels {
namespace {

// The numbers of a block's inputs and of its products stay in the level-2 cache.
constexpr int64_t block_bytes = 384 << 10;

// Transformed weights beyond this come from memory for every block.
constexpr int64_t most_weight_bytes = 4 << 20;

// Fewer channels than this don't repay their transforms.
constexpr int64_t least_channels = 16;

// Of both axes of the output: an image that is smaller, and alone, doesn't repay the weight's transform; and
// what becomes of an image must not depend on how many there are.
constexpr int64_t least_outputs = 6;

// Of a task.
constexpr int64_t least_tiles = 64;

// A task below this many multiplications is not worth handing out.
constexpr double task_products = 5e5;

// What a tile of outputs reads along an axis.
Window tile_window(const Window& window) {
  return {window.in, ceil_div(window.out, winograd::side), winograd::side, window.begin, 4, 1};
}

}  // namespace

template <class T>
bool WinogradCorrelation<T>::pays(const CorrelationShape& s) {
  for (const CorrelationAxis* axis : {&s.y, &s.x})
    if (axis->kernel != 3 || axis->window.taps != 3 || axis->window.step != 1 || axis->window.spread != 1 ||
        axis->every != 1 || axis->window.out < least_outputs)
      return false;
  return s.groups == 1 && std::min(s.depth, s.columns) >= least_channels &&
         winograd::numbers * s.depth * s.columns * static_cast<int64_t>(sizeof(T)) <= most_weight_bytes;
}

template <class T>
WinogradCorrelation<T>::WinogradCorrelation(const CorrelationShape& shape, int64_t most_tasks)
    : shape_(shape) {
  constexpr GemmBlocks table = gemm_blocks<T>();
  constexpr int64_t w = simd::vector_width<T>;
  const Window y = tile_window(shape.y.window), x = tile_window(shape.x.window);
  const int64_t tiles = shape.images * y.out * x.out;
  const double products =
      static_cast<double>(tiles * winograd::numbers) * static_cast<double>(shape.depth * shape.columns);
  const int64_t worth = std::min(static_cast<int64_t>(products / task_products), tiles / least_tiles);
  const int64_t wanted = std::clamp<int64_t>(worth, 1, most_tasks);
  const int64_t tile_bytes =
      winograd::numbers * (shape.depth + shape.columns) * static_cast<int64_t>(sizeof(T));
  const int64_t block_tiles = std::max<int64_t>(block_bytes / tile_bytes, 1);
  blocks_ = Blocks(shape.images, y.out, x.out, std::min(block_tiles, ceil_div(tiles, wanted)), table.rows);
  bands_ = Bands(y, x, shape.depth, blocks_);
  tasks_ = std::clamp<int64_t>(blocks_.count(), 1, wanted);

  const int64_t vectors = ceil_div(shape.columns, w);
  strips_ = ceil_div(vectors, tile_limits<T>(tiles, vectors).vectors);
  strip_columns_ = ceil_div(vectors, strips_) * w;
  pieces_ = ceil_div(shape.depth, table.depth * table.vectors * w / strip_columns_);

  const int64_t rows = blocks_.most_images() * blocks_.most_y() * blocks_.most_x();
  band_elements_ = round_up(bands_.elements(), line_elements<T>);
  input_apart_ = winograd::odd_lines(rows * shape.depth, line_elements<T>);
  product_apart_ = winograd::odd_lines(rows * shape.columns, line_elements<T>);
  weight_apart_ = winograd::odd_lines(strips_ * shape.depth * strip_columns_, line_elements<T>);
  if (shape.transposed) tap_elements_ = shape.depth * round_up(shape.columns, w);
  scratch_elements_ = band_elements_ + winograd::numbers * (input_apart_ + product_apart_ + weight_apart_) +
                      9 * tap_elements_;
}

template <class T>
typename WinogradCorrelation<T>::OutputRows WinogradCorrelation<T>::output_rows(const Block& block,
                                                                                int64_t image,
                                                                                int64_t row) const {
  const CorrelationAxis &y = shape_.y, &x = shape_.x;
  const int64_t top = row * winograd::side, left = block.x.begin * winograd::side;
  return {((image * y.target + y.first + top) * x.target + x.first + left) * shape_.columns,
          std::min(winograd::side, y.window.out - top),
          std::min(block.x.end * winograd::side, x.window.out) - left};
}

// The transformed weight: 16 matrices (strips, depth, strip_columns).
template <class T>
void WinogradCorrelation<T>::pack(const T* weight, T* packed, T* taps) const {
  const int64_t depth = shape_.depth, columns = shape_.columns;
  const CorrelationAxis &y = shape_.y, &x = shape_.x;
  const int64_t row = shape_.transposed ? round_up(columns, simd::vector_width<T>) : columns;
  const T* from[3][3];  // (depth, columns) each
  for (int64_t i = 0; i < 3; ++i)
    for (int64_t j = 0; j < 3; ++j) {
      const int64_t tap = (y.tap_first + i * y.tap_step) * 3 + x.tap_first + j * x.tap_step;
      from[i][j] = weight + tap * depth * columns;
      if (!shape_.transposed) continue;
      T* to = taps + (i * 3 + j) * tap_elements_;
      transpose_panel(from[i][j], depth, depth, static_cast<int>(columns), to, row);
      from[i][j] = to;
    }
  for (int64_t step = 0; step < depth; ++step)
    winograd::transform_weight<T>(
        columns, [&](int i, int j) { return from[i][j] + step * row; },
        [&](int64_t number, int64_t column, const auto& access, simd::Vec<T> value) {
          const int64_t strip = column / strip_columns_;
          access.store(packed + number * weight_apart_ + (strip * depth + step) * strip_columns_ +
                           column % strip_columns_,
                       value);
        });
}

template <class T>
void WinogradCorrelation<T>::run(int64_t task, const T* source, const T* weight, T* target,
                                 const Epilogue<T>& epilogue, T* scratch) const {
  T* inputs = scratch + band_elements_;
  T* products = inputs + winograd::numbers * input_apart_;
  T* packed = products + winograd::numbers * product_apart_;
  pack(weight, packed, packed + winograd::numbers * weight_apart_);
  int64_t number = part_of(blocks_.count(), tasks_, task).begin;
  blocks_.each(tasks_, task, [&](const Block& block) {
    const T* band = bands_.of(block, source, scratch);
    const int64_t count = block.x.end - block.x.begin;
    int64_t rows = 0;
    for_tile_rows(block, [&](int64_t image, int64_t row, int64_t first) {
      const T* from = band + (image - block.images.begin) * bands_.image_stride() +
                      (row - block.y.begin) * winograd::side * bands_.row_stride();
      winograd::transform_inputs<T>(from, bands_.row_stride(), shape_.depth, shape_.depth, count,
                                    {inputs + first * shape_.depth, input_apart_, shape_.depth});
      rows = first + count;
    });
    // Meanwhile, outputs and what the next block reads come from memory.
    Fetch<FetchBy::Load> fetch(tiles_of_products(rows));
    fetch.add(outputs(block, target));
    fetch.add(outputs(block, epilogue.where));
    if (++number < blocks_.count()) fetch.add(bands_.wanted(blocks_.at(number), source));
    multiply(rows, inputs, packed, products, fetch);
    for_tile_rows(block, [&](int64_t image, int64_t row, int64_t first) {
      const OutputRows out = output_rows(block, image, row);
      winograd::transform_outputs<T>(
          {products + first * shape_.columns, product_apart_, shape_.columns}, shape_.columns,
          {target + out.offset, epilogue.at(out.offset, 0), shape_.x.target * shape_.columns, shape_.columns,
           out.rows, out.outputs});
    });
  });
}

// What a block writes, if it is one piece.
template <class T>
Wanted<T> WinogradCorrelation<T>::outputs(const Block& block, const T* target) const {
  if (target == nullptr || !blocks_.whole_rows()) return {};
  const OutputRows top = output_rows(block, block.images.begin, block.y.begin);
  const OutputRows bottom = output_rows(block, block.images.end - 1, block.y.end - 1);
  const int64_t end = bottom.offset + bottom.rows * shape_.x.target * shape_.columns;
  return {target + top.offset, end - top.offset};
}

template <class T>
int64_t WinogradCorrelation<T>::row_panels(int64_t rows) const {
  return ceil_div(rows, tile_limits<T>(rows, ceil_div(shape_.columns, int64_t{simd::vector_width<T>})).rows);
}

template <class T>
int64_t WinogradCorrelation<T>::tiles_of_products(int64_t rows) const {
  return winograd::numbers * pieces_ * strips_ * row_panels(rows);
}

template <class T>
void WinogradCorrelation<T>::multiply(int64_t rows, const T* inputs, const T* packed, T* products,
                                      Fetch<FetchBy::Load>& fetch) const {
  constexpr int64_t w = simd::vector_width<T>;
  const auto find = TileTable<T, TileA::RowMajor>::find;
  const int64_t row_panels = this->row_panels(rows);
  TileCall<T> call{};
  call.a_stride = shape_.depth;
  call.b_stride = strip_columns_;
  call.c_stride = shape_.columns;
  for (int64_t number = 0; number < winograd::numbers; ++number)
    for (int64_t piece = 0; piece < pieces_; ++piece) {
      const Range steps = part_of(shape_.depth, pieces_, piece);
      call.depth = steps.end - steps.begin;
      call.accumulate = piece > 0;
      for (int64_t strip = 0; strip < strips_; ++strip) {
        const int64_t column = strip * strip_columns_;
        const int64_t width = std::min(strip_columns_, shape_.columns - column), vectors = ceil_div(width, w);
        call.last_columns = static_cast<int>(width - (vectors - 1) * w);
        call.b = packed + number * weight_apart_ + (strip * shape_.depth + steps.begin) * strip_columns_;
        for (int64_t i = 0; i < row_panels; ++i) {
          fetch.step();
          const Range panel = part_of(rows, row_panels, i);
          call.a = inputs + number * input_apart_ + panel.begin * shape_.depth + steps.begin;
          call.c = products + number * product_apart_ + panel.begin * shape_.columns + column;
          find(static_cast<int>(panel.end - panel.begin), static_cast<int>(vectors),
               call.last_columns < w)(call);
        }
      }
    }
}

template class WinogradCorrelation<float>;

}  // namespace bpcore::kernels
