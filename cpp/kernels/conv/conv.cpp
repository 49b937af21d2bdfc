#include "kernels/conv/conv.h"

#include <algorithm>

#include "kernels/conv/depthwise.h"
#include "kernels/gemm/blocks.h"
#include "kernels/gemm/pack.h"
#include "kernels/gemm/tile.h"

namespace bpcore::kernels {
namespace {

// Source and target of a block stay in the level-2 cache while panels of the weight go by.
constexpr int64_t block_bytes = 384 << 10;

// A weight up to this size is packed once a task, a larger one panel by panel, block after block.
constexpr int64_t packed_bytes = 512 << 10;

// Of the taps along x, at most this share is inside where the rows of a tile are images.
constexpr double most_inside = 0.8;

// A task below this many multiplications is not worth handing out.
constexpr double task_products = 1e6;

int64_t tasks_worth(double products, int64_t most_tasks) {
  return std::clamp<int64_t>(static_cast<int64_t>(products / task_products), 1, most_tasks);
}

// How many outputs along x share a vector.
template <class T>
int64_t outputs_together(const CorrelationShape& s) {
  const Window& x = s.x.window;
  if (s.groups != 1 || s.x.every != 1 || (x.spread != 1 && x.taps > 1)) return 1;
  const int64_t fit = std::min(x.out, simd::vector_width<T> / std::max<int64_t>(s.columns, 1));
  return fewest_taps(x.taps, x.step, fit, [](int64_t) { return true; });
}

}  // namespace

template <class T>
Correlation<T>::Correlation(const CorrelationShape& shape, int64_t most_tasks)
    : shape_(shape), together_(outputs_together<T>(shape)), x_outputs_(shape.x.window.out) {
  constexpr GemmBlocks table = gemm_blocks<T>();
  constexpr int64_t w = simd::vector_width<T>;
  shape_.x.window = together(shape.x.window, together_);
  const Window &y = shape_.y.window, &x = shape_.x.window;
  const int64_t depth = shape.depth / shape.groups, columns = group_columns();
  depthwise_ = shape.groups > 1 && depth == 1 && columns == 1;
  const int64_t outputs = shape.images * y.out * x.out;
  const double products = static_cast<double>(outputs) * static_cast<double>(y.taps * x.taps) *
                          static_cast<double>(depth * columns * shape.groups);
  const int64_t wanted = tasks_worth(products, most_tasks);
  const int64_t vectors = ceil_div(columns, w);
  const int64_t output_bytes =
      (shape.depth * y.step * x.step + columns * shape.groups) * static_cast<int64_t>(sizeof(T));
  const int64_t most_outputs = block_bytes / std::max<int64_t>(output_bytes, 1);
  const int64_t outputs_of_a_tile = table.rows * y.out * x.out;  // whose rows are images
  across_images_ =
      shape.transposed && shape.groups == 1 && (x.spread == 1 || x.taps == 1) && shape.images >= table.rows &&
      outputs_of_a_tile <= most_outputs &&
      static_cast<double>(x.all_taps_inside()) < most_inside * static_cast<double>(x.taps * x.out);
  const TileLimits tile = tile_limits<T>(across_images_ ? shape.images : x.out, vectors);
  tile_rows_ = tile.rows;
  const int64_t least_outputs = across_images_ ? outputs_of_a_tile : 0;
  blocks_ = Blocks(shape.images, y.out, x.out,
                   std::min(std::max(ceil_div(outputs, wanted), least_outputs), most_outputs), tile.rows);
  bands_ = Bands(y, x, shape.depth, blocks_);
  band_elements_ = round_up(bands_.elements(), line_elements<T>);
  tasks_ = std::clamp<int64_t>(blocks_.count(), 1, wanted);
  make_runs();

  strips_ = ceil_div(vectors, tile.vectors);
  const int64_t strip_columns = ceil_div(vectors, strips_) * w;
  // A packed panel fills as much of the level-1 cache as one of a matrix product does.
  const int64_t most_depth = table.depth * table.vectors * w / strip_columns;
  const int64_t run_count = static_cast<int64_t>(runs_.size());
  run_pieces_ = std::max<int64_t>(1, ceil_div(run_depth_, most_depth));
  pieces_ = run_pieces_ > 1
                ? run_count * run_pieces_
                : ceil_div(run_count, std::max<int64_t>(1, most_depth / std::max<int64_t>(run_depth_, 1)));
  in_place_ = !shape.transposed && shape.groups == 1 && strips_ == 1 && together_ == 1;
  if (!depthwise_ && !in_place_) {
    const int64_t longest =
        run_pieces_ > 1 ? ceil_div(run_depth_, run_pieces_) : ceil_div(run_count, pieces_) * run_depth_;
    panel_elements_ = round_up(longest * strip_columns, line_elements<T>);
    const int64_t panels = shape.groups * pieces_ * strips_;
    pack_once_ = panels * panel_elements_ * static_cast<int64_t>(sizeof(T)) <= packed_bytes;
    scratch_elements_ = pack_once_ ? panels * panel_elements_ : panel_elements_;
  }
  scratch_elements_ += band_elements_;
  if (together_ > 1) scratch_elements_ += w;  // the bias of each
}

// Taps that lie side by side in the source make one run, if all of their channels count.
template <class T>
void Correlation<T>::make_runs() {
  const Window &y = shape_.y.window, &x = shape_.x.window;
  const int64_t depth = shape_.depth / shape_.groups;
  const bool joined = shape_.groups == 1 && (x.spread == 1 || x.taps == 1);
  run_depth_ = joined ? x.taps * depth : depth;
  row_runs_ = joined ? 1 : x.taps;
  for (int64_t i = 0; i < y.taps; ++i)
    for (int64_t j = 0; j < row_runs_; ++j) {
      runs_.push_back(i * y.spread * bands_.row_stride() + j * x.spread * shape_.depth);
      weights_.push_back(tap_row(i, j) * shape_.columns);
    }
}

template <class T>
typename Correlation<T>::Piece Correlation<T>::piece(int64_t number) const {
  const int64_t run_count = static_cast<int64_t>(runs_.size());
  if (run_pieces_ > 1) {
    const int64_t run = number / run_pieces_;
    const Range steps = part_of(run_depth_, run_pieces_, number % run_pieces_);
    return {run, run + 1, steps.begin, steps.end - steps.begin};
  }
  const Range runs = part_of(run_count, pieces_, number);
  return {runs.begin, runs.end, 0, run_depth_};
}

// The panel's rows of B in the order of the runs, taps within a run, channels within a tap.
template <class T>
void Correlation<T>::pack(const Piece& piece, int64_t group, Range columns, const T* weight,
                          T* packed) const {
  if (together_ > 1) return pack_together(piece, weight, packed);
  const int64_t depth = shape_.depth / shape_.groups, group_columns = shape_.columns / shape_.groups;
  const int64_t filters = shape_.transposed ? shape_.depth : shape_.columns;
  const int64_t tap_elements = (shape_.transposed ? group_columns : depth) * filters;
  const int64_t stride = round_up(columns.end - columns.begin, simd::vector_width<T>);
  const int width = static_cast<int>(columns.end - columns.begin);
  const int64_t taps = shape_.x.window.taps, joined = run_depth_ / depth;
  for (int64_t run = piece.first_run; run < piece.last_run; ++run) {
    const int64_t first_tap = run * joined;
    for (int64_t step = piece.begin, count = 0; step < piece.begin + piece.depth; step += count) {
      const int64_t tap = first_tap + step / depth, channel = step % depth;
      count = std::min(depth - channel, piece.begin + piece.depth - step);
      const T* from = weight + tap_row(tap / taps, tap % taps) * tap_elements;
      if (shape_.transposed)  // (columns, filters): this group's filters are the steps
        transpose_panel(from + columns.begin * filters + group * depth + channel, filters, count, width,
                        packed, stride);
      else
        copy_panel(from + channel * filters + group * group_columns + columns.begin, filters, count, width,
                   packed, stride);
      packed += count * stride;
    }
  }
}

// The same for outputs that share a vector: output e meets its tap j at tap e * step + j of their window.
template <class T>
void Correlation<T>::pack_together(const Piece& piece, const T* weight, T* packed) const {
  const int64_t depth = shape_.depth, columns = shape_.columns, apart = shape_.x.window.step / together_;
  const int64_t taps = shape_.x.window.taps - (together_ - 1) * apart;  // of each
  for (int64_t run = piece.first_run; run < piece.last_run; ++run)
    for (int64_t step = piece.begin; step < piece.begin + piece.depth; ++step) {
      const int64_t channel = step % depth;
      for (int64_t output = 0; output < together_; ++output) {
        const int64_t tap = step / depth - output * apart;
        T* to = packed + output * columns;
        if (tap < 0 || tap >= taps) {
          std::fill_n(to, columns, T(0));
          continue;
        }
        const T* from = weight + tap_row(run, tap) * depth * columns;
        for (int64_t column = 0; column < columns; ++column)
          to[column] = from[shape_.transposed ? column * depth + channel : channel * columns + column];
      }
      packed += simd::vector_width<T>;
    }
}

template <class T>
void Correlation<T>::pack_all(const T* weight, T* packed) const {
  for (int64_t group = 0; group < shape_.groups; ++group)
    for (int64_t number = 0; number < pieces_; ++number)
      for (int64_t s = 0; s < strips_; ++s, packed += panel_elements_)
        pack(piece(number), group, strip(s), weight, packed);
}

template <class T>
void Correlation<T>::run(int64_t task, const T* source, const T* weight, T* target, const Epilogue<T>& given,
                         T* scratch) const {
  T* packed = scratch + band_elements_;
  Epilogue<T> epilogue = given;
  if (together_ > 1 && given.bias != nullptr) {
    T* bias = scratch + scratch_elements_ - simd::vector_width<T>;
    for (int64_t output = 0; output < together_; ++output)
      std::copy_n(given.bias, shape_.columns, bias + output * shape_.columns);
    epilogue.bias = bias;
  }
  if (pack_once_) pack_all(weight, packed);
  blocks_.each(tasks_, task, [&](const Block& block) {
    const T* band = bands_.of(block, source, scratch);
    if (depthwise_) return multiply_channels(block, band, weight, target, epilogue);
    const auto panel = [&](int64_t group, int64_t number, int64_t s) -> const T* {
      const Piece p = piece(number);
      if (in_place_) return weight + (p.first_run * run_depth_ + p.begin) * shape_.columns;
      if (pack_once_) return packed + ((group * pieces_ + number) * strips_ + s) * panel_elements_;
      pack(p, group, strip(s), weight, packed);
      return packed;
    };
    if (across_images_)
      multiply_images(block, band, target, epilogue, panel);
    else
      multiply(block, band, target, epilogue, panel);
  });
}

// panel(group, piece, strip): a panel of B, which stays in the level-1 cache while all outputs of the block
// are computed.
template <class T>
template <class Panel>
void Correlation<T>::multiply(const Block& block, const T* band, T* target, const Epilogue<T>& epilogue,
                              Panel panel) const {
  constexpr int64_t w = simd::vector_width<T>;
  const auto find = TileTable<T, TileA::RowMajorRuns>::find;
  const int64_t depth = shape_.depth / shape_.groups;
  // Of outputs that share a vector, the last may be fewer.
  const int64_t whole = std::min(block.x.end, x_outputs_ / together_) - block.x.begin;
  const int64_t rest = block.x.end * together_ > x_outputs_ ? x_outputs_ % together_ : 0;
  const int64_t row_panels = ceil_div(whole, tile_rows_);
  const int64_t row_step = shape_.y.window.step * bands_.row_stride();
  TileCall<T> call{};
  call.a_stride = shape_.x.window.step * shape_.depth;
  call.c_stride = shape_.x.every * together_ * shape_.columns;
  for (int64_t group = 0; group < shape_.groups; ++group)
    for (int64_t number = 0; number < pieces_; ++number) {
      const Piece p = piece(number);
      const bool last = number + 1 == pieces_;
      call.depth = p.depth;
      call.accumulate = number > 0;
      for (int64_t s = 0; s < strips_; ++s) {
        const Range columns = strip(s);
        const int64_t column = group * group_columns() + columns.begin;
        const int64_t vectors = ceil_div(columns.end - columns.begin, w);
        const T* b = panel(group, number, s);
        call.b_stride = in_place_ ? shape_.columns : vectors * w;
        for (int64_t image = block.images.begin; image < block.images.end; ++image)
          for (int64_t y = block.y.begin; y < block.y.end; ++y) {
            // Rows of taps beyond the source are left out.
            const Range inside = shape_.y.window.taps_inside(y);
            const int64_t first = std::clamp(inside.begin * row_runs_, p.first_run, p.last_run);
            call.runs = runs_.data() + first;
            call.run_count = std::clamp(inside.end * row_runs_, first, p.last_run) - first;
            call.b = b + (first - p.first_run) * p.depth * call.b_stride;
            const T* a = band + (image - block.images.begin) * bands_.image_stride() +
                         (y - block.y.begin) * row_step + group * depth + p.begin;
            const int64_t c = target_offset(image, y, block.x.begin) + column;
            const auto multiply_rows = [&](Range rows, int64_t last_columns) {
              call.last_columns = static_cast<int>(last_columns);
              call.a = a + rows.begin * call.a_stride;
              const int64_t offset = c + rows.begin * call.c_stride;
              call.c = target + offset;
              call.epilogue = last ? epilogue.at(offset, column) : Epilogue<T>{};
              find(static_cast<int>(rows.end - rows.begin), static_cast<int>(vectors),
                   last_columns < w)(call);
            };
            for (int64_t i = 0; i < row_panels; ++i)
              multiply_rows(part_of(whole, row_panels, i), columns.end - columns.begin - (vectors - 1) * w);
            if (rest > 0) multiply_rows({whole, whole + 1}, rest * shape_.columns);
          }
      }
    }
}

// The same where each output has a tile, or several, of its images.
template <class T>
template <class Panel>
void Correlation<T>::multiply_images(const Block& block, const T* band, T* target,
                                     const Epilogue<T>& epilogue, Panel panel) const {
  constexpr int64_t w = simd::vector_width<T>;
  const auto find = TileTable<T, TileA::RowMajorRuns>::find;
  const Window &y_window = shape_.y.window, &x_window = shape_.x.window;
  const int64_t images = block.images.end - block.images.begin, row_panels = ceil_div(images, tile_rows_);
  TileCall<T> call{};
  call.a_stride = bands_.image_stride();
  call.c_stride = target_offset(1, 0, 0) - target_offset(0, 0, 0);
  for (int64_t number = 0; number < pieces_; ++number) {
    const Piece p = piece(number);
    call.accumulate = number > 0;
    for (int64_t s = 0; s < strips_; ++s) {
      const Range columns = strip(s);
      const int64_t vectors = ceil_div(columns.end - columns.begin, w);
      const T* b = panel(0, number, s);
      call.b_stride = vectors * w;
      for (int64_t y = block.y.begin; y < block.y.end; ++y) {
        const Range inside = y_window.taps_inside(y);
        const int64_t first = std::clamp(inside.begin * row_runs_, p.first_run, p.last_run);
        call.runs = runs_.data() + first;
        call.run_count = std::clamp(inside.end * row_runs_, first, p.last_run) - first;
        for (int64_t x = block.x.begin; x < block.x.end; ++x) {
          // Of a run, the steps that are inside.
          const Range taps = x_window.taps_inside(x);
          const int64_t begin = std::clamp(taps.begin * shape_.depth - p.begin, int64_t{0}, p.depth);
          const int64_t end = std::clamp(taps.end * shape_.depth - p.begin, begin, p.depth);
          call.depth = end - begin;
          call.b_gap = (p.depth - call.depth) * call.b_stride;
          call.b = b + ((first - p.first_run) * p.depth + begin) * call.b_stride;
          // Of outputs that share a vector, the last may be fewer.
          const int64_t shared = std::min(together_, x_outputs_ - x * together_);
          const int64_t used = std::min(columns.end, shared * shape_.columns) - columns.begin;
          call.last_columns = static_cast<int>(used - (vectors - 1) * w);
          const T* a = band + (y - block.y.begin) * y_window.step * bands_.row_stride() +
                       (x - block.x.begin) * x_window.step * shape_.depth + p.begin + begin;
          for (int64_t i = 0; i < row_panels; ++i) {
            const Range rows = part_of(images, row_panels, i);
            call.a = a + rows.begin * call.a_stride;
            const int64_t offset = target_offset(block.images.begin + rows.begin, y, x) + columns.begin;
            call.c = target + offset;
            call.epilogue = number + 1 == pieces_ ? epilogue.at(offset, columns.begin) : Epilogue<T>{};
            find(static_cast<int>(rows.end - rows.begin), static_cast<int>(vectors),
                 call.last_columns < w)(call);
          }
        }
      }
    }
  }
}

template <class T>
void Correlation<T>::multiply_channels(const Block& block, const T* band, const T* weight, T* target,
                                       const Epilogue<T>& epilogue) const {
  constexpr int64_t w = simd::vector_width<T>;
  const int64_t channels = shape_.depth, outputs = block.x.end - block.x.begin;
  const int64_t row_panels = ceil_div(outputs, channel_outputs);
  const int64_t row_step = shape_.y.window.step * bands_.row_stride();
  ChannelCall<T> call{};
  call.taps = runs_.data();
  call.weights = weights_.data();
  call.tap_count = static_cast<int64_t>(runs_.size());
  call.a_stride = shape_.x.window.step * channels;
  call.c_stride = shape_.x.every * channels;
  for (int64_t image = block.images.begin; image < block.images.end; ++image)
    for (int64_t y = block.y.begin; y < block.y.end; ++y)
      for (int64_t i = 0; i < row_panels; ++i) {
        const Range rows = part_of(outputs, row_panels, i);
        const T* a = band + (image - block.images.begin) * bands_.image_stride() +
                     (y - block.y.begin) * row_step + rows.begin * call.a_stride;
        const int64_t c = target_offset(image, y, block.x.begin) + rows.begin * call.c_stride;
        for (int64_t channel = 0; channel < channels; channel += w) {
          call.channels = static_cast<int>(std::min(w, channels - channel));
          call.a = a + channel;
          call.weight = weight + channel;
          call.c = target + c + channel;
          call.epilogue = epilogue.at(c + channel, channel);
          channel_tile_table<T>[static_cast<size_t>(rows.end - rows.begin - 1)](call);
        }
      }
}

template class Correlation<float>;
template class Correlation<double>;

}  // namespace bpcore::kernels
