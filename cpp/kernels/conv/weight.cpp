// The gradient of a convolution's weight.
#include <algorithm>

#include "kernels/conv/conv.h"
#include "kernels/conv/depthwise.h"
#include "kernels/gemm/blocks.h"
#include "kernels/gemm/pack.h"
#include "kernels/gemm/tile.h"
#include "kernels/reduce.h"
#include "kernels/vectors.h"

namespace bpcore::kernels {
namespace {

// A task below this many multiplications is not worth handing out: each looks at all outputs.
constexpr double task_products = 2e6;

// Bytes of a block's outputs, where channels don't meet: they and their band stay in the level-2 cache, and
// most rows of the band are copied once.
constexpr int64_t channel_block_bytes = 64 << 10;

// How many outputs along x share a vector; every row is made of whole ones.
template <class T>
int64_t outputs_together(const ConvShape& s) {
  const ConvAxis& x = s.x;
  if (s.groups != 1 || (x.dilation != 1 && x.kernel > 1)) return 1;
  const int64_t fit = std::min(x.out, simd::vector_width<T> / std::max<int64_t>(s.filters, 1));
  return fewest_taps(x.kernel, x.stride, fit, [&](int64_t together) { return x.out % together == 0; });
}

}  // namespace

template <class T>
WeightGradient<T>::WeightGradient(const ConvShape& shape, int64_t most_tasks)
    : shape_(shape), together_(outputs_together<T>(shape)) {
  constexpr GemmBlocks table = gemm_blocks<T>();
  constexpr int64_t w = simd::vector_width<T>;
  const CorrelationShape forward = forward_correlation(shape);
  const Window& y = forward.y.window;
  const Window x = together(forward.x.window, together_);
  const int64_t vectors = ceil_div(group_columns(), w);
  const TileLimits tile = tile_limits<T>(shape.y.kernel * shape.x.kernel * shape.group_channels(), vectors);
  tile_rows_ = tile.rows;
  strips_ = ceil_div(vectors, tile.vectors);
  const int64_t strip_columns = ceil_div(vectors, strips_) * w;
  // A block's panel of the gradient and the band that it meets, which many panels of rows pass over, fill as
  // much of the level-1 cache as a panel of a matrix product does, if that leaves steps enough to be worth
  // going on from sums in memory.
  const int64_t read = strip_columns + shape.channels * y.step * x.step;  // by an output
  const int64_t outputs = shape.depthwise()
                              ? channel_block_bytes / (shape.channels * static_cast<int64_t>(sizeof(T)))
                              : std::max<int64_t>(table.depth / 2, table.depth * table.vectors * w / read);
  blocks_ = Blocks(shape.images, y.out, x.out, outputs, w);
  bands_ = Bands(y, x, shape.channels, blocks_);
  band_elements_ = round_up(bands_.elements(), line_elements<T>);
  in_place_ = shape.groups == 1 && strips_ == 1;
  const int64_t panel = blocks_.most_images() * blocks_.most_y() * blocks_.most_x() * strip_columns;
  if (together_ > 1) partial_elements_ = (shape.y.kernel * x_taps() * shape.channels + 1) * w;
  scratch_elements_ = band_elements_ + partial_elements_ +
                      (in_place_ || shape.depthwise() ? 0 : round_up(panel, line_elements<T>));
  for (int64_t image = 0; image < blocks_.most_images(); ++image)
    for (int64_t row = 0; row < blocks_.most_y(); ++row)
      runs_.push_back(image * bands_.image_stride() + row * y.step * bands_.row_stride());
  make_panels();
  tasks_ = std::clamp<int64_t>(static_cast<int64_t>(shape.products() / task_products), 1,
                               std::clamp<int64_t>(units_, 1, most_tasks));
}

// Taps that lie side by side in x make one run of rows of the result, if all of their channels count.
template <class T>
void WeightGradient<T>::make_panels() {
  constexpr int64_t w = simd::vector_width<T>;
  const ConvAxis &y = shape_.y, &x = shape_.x;
  const int64_t channels = shape_.group_channels();
  if (shape_.depthwise()) {
    for (int64_t i = 0; i < y.kernel; ++i)
      for (int64_t j = 0; j < x.kernel; ++j)
        taps_.push_back(i * y.dilation * bands_.row_stride() + j * x.dilation * shape_.channels);
    units_ = ceil_div(shape_.channels, w) * ceil_div(y.kernel * x.kernel, channel_taps);
    return;
  }
  const bool joined = shape_.groups == 1 && (x.dilation == 1 || x.kernel == 1);
  const int64_t row_taps = joined ? x_taps() : 1, length = row_taps * channels;
  for (int64_t i = 0; i < y.kernel; ++i)
    for (int64_t j = 0; j < (joined ? 1 : x.kernel); ++j) {
      const int64_t run = i * y.dilation * bands_.row_stride() + j * x.dilation * shape_.channels;
      const int64_t parts = ceil_div(length, tile_rows_);
      for (int64_t part = 0; part < parts; ++part) {
        const Range share = part_of(length, parts, part);
        panels_.push_back({(i * x_taps() + j) * channels + share.begin, run + share.begin,
                           static_cast<int>(share.end - share.begin)});
      }
    }
  units_ = shape_.groups * strips_ * static_cast<int64_t>(panels_.size());
  if (together_ > 1) {  // a row of taps is added up by one task
    unit_panels_ = units_ / y.kernel;
    units_ = y.kernel;
  }
}

template <class T>
void WeightGradient<T>::run(int64_t task, const T* x, const T* gradient, T* result, T* sums,
                            T* scratch) const {
  const Range units = part_of(units_, tasks_, task);
  if (blocks_.count() == 0) {
    const int64_t elements = shape_.y.kernel * shape_.x.kernel * shape_.group_channels() * shape_.filters;
    const Range share = part_of(elements, tasks_, task);
    std::fill(result + share.begin, result + share.end, T(0));
    if (task == 0 && sums != nullptr) std::fill_n(sums, shape_.filters, T(0));
    return;
  }
  T* partial = scratch + band_elements_;
  T* packed = partial + partial_elements_;
  T* partial_sums = together_ > 1 && sums != nullptr ? packed - simd::vector_width<T> : nullptr;
  for (int64_t number = 0; number < blocks_.count(); ++number) {
    const Block block = blocks_.at(number);
    const T* band = bands_.of(block, x, scratch);
    const int64_t row = block.images.begin * shape_.y.out + block.y.begin;
    const T* from = gradient + (row * shape_.x.out + block.x.begin * together_) * shape_.filters;
    if (shape_.depthwise())
      multiply_channels(block, units, band, from, result, sums);
    else if (together_ > 1)
      multiply(block, {units.begin * unit_panels_, units.end * unit_panels_}, band, from, partial,
               partial_sums, packed);
    else
      multiply(block, units, band, from, result, sums, packed);
  }
  if (together_ > 1) add_together(units, partial, partial_sums, result, sums);
}

// From the sums for each place in a vector to those of all, of some rows of taps.
template <class T>
void WeightGradient<T>::add_together(Range rows, const T* partial, const T* partial_sums, T* result,
                                     T* sums) const {
  constexpr int64_t w = simd::vector_width<T>;
  const int64_t filters = shape_.filters, channels = shape_.channels;
  const auto add = [&](const T* first, int64_t apart, T* to) {
    for (int64_t filter = 0; filter < filters; ++filter) {
      T sum = first[filter];
      for (int64_t place = 1; place < together_; ++place) sum += first[place * (apart + filters) + filter];
      to[filter] = sum;
    }
  };
  for (int64_t row = rows.begin; row < rows.end; ++row)
    for (int64_t i = 0; i < shape_.x.kernel * channels; ++i)
      add(partial + (row * x_taps() * channels + i) * w, shape_.x.stride * channels * w,
          result + (row * shape_.x.kernel * channels + i) * filters);
  if (sums != nullptr && rows.begin == 0) add(partial_sums, 0, sums);
}

template <class T>
void WeightGradient<T>::multiply(const Block& block, Range units, const T* band, const T* gradient, T* result,
                                 T* sums, T* packed) const {
  constexpr int64_t w = simd::vector_width<T>;
  const auto find = TileTable<T, TileA::ByDepthRuns>::find;
  const int64_t panel_count = static_cast<int64_t>(panels_.size());
  TileCall<T> call{};
  call.a_stride = shape_.x.stride * together_ * shape_.channels;
  call.c_stride = together_ > 1 ? w : shape_.filters;
  call.depth = block.x.end - block.x.begin;
  call.runs = runs_.data();
  call.run_count = (block.images.end - block.images.begin) * (block.y.end - block.y.begin);
  call.accumulate = block.images.begin > 0 || block.y.begin > 0 || block.x.begin > 0;
  int64_t vectors = 0, column = 0;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t group = unit / (strips_ * panel_count);
    if (unit == units.begin || unit % panel_count == 0) {
      const Range columns = strip(unit / panel_count % strips_);
      const int width = static_cast<int>(columns.end - columns.begin);
      vectors = ceil_div(width, w);
      column = group * group_columns() + columns.begin;
      call.last_columns = static_cast<int>(width - (vectors - 1) * w);
      call.b = in_place_ ? gradient : packed;
      call.b_stride = in_place_ ? group_columns() : vectors * w;
      if (!in_place_)
        copy_panel(gradient + column, shape_.filters, call.depth * call.run_count, width, packed,
                   call.b_stride);
      if (sums != nullptr && unit % panel_count == 0)
        add_columns(call.b, call.depth * call.run_count, width, call.b_stride, call.accumulate,
                    sums + column);
    }
    const Panel& panel = panels_[static_cast<size_t>(unit % panel_count)];
    call.a = band + panel.offset + group * shape_.group_channels();
    call.c = result + panel.row * call.c_stride + column;
    find(panel.rows, static_cast<int>(vectors), call.last_columns < w)(call);
  }
}

template <class T>
void WeightGradient<T>::multiply_channels(const Block& block, Range units, const T* band, const T* gradient,
                                          T* result, T* sums) const {
  constexpr int64_t w = simd::vector_width<T>;
  const int64_t tap_count = static_cast<int64_t>(taps_.size());
  const int64_t tap_groups = ceil_div(tap_count, channel_taps);
  ChannelSum<T> call{};
  call.rows = runs_.data();
  call.row_count = (block.images.end - block.images.begin) * (block.y.end - block.y.begin);
  call.outputs = block.x.end - block.x.begin;
  call.x_stride = shape_.x.stride * shape_.channels;
  call.gradient_stride = call.sum_stride = shape_.channels;
  call.accumulate = block.images.begin > 0 || block.y.begin > 0 || block.x.begin > 0;
  for (int64_t unit = units.begin; unit < units.end; ++unit) {
    const int64_t channel = unit / tap_groups * w;
    const Range taps = part_of(tap_count, tap_groups, unit % tap_groups);
    call.channels = static_cast<int>(std::min(w, shape_.channels - channel));
    call.x = band + channel;
    call.gradient = gradient + channel;
    call.sum = result + taps.begin * shape_.channels + channel;
    call.taps = taps_.data() + taps.begin;
    if (sums != nullptr && taps.begin == 0)
      add_columns(call.gradient, call.outputs * call.row_count, call.channels, call.gradient_stride,
                  call.accumulate, sums + channel);
    channel_sum_table<T>[static_cast<size_t>(taps.end - taps.begin - 1)](call);
  }
}

template class WeightGradient<float>;
template class WeightGradient<double>;

}  // namespace bpcore::kernels
