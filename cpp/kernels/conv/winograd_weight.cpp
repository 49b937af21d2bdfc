// The gradient of a weight of 3 × 3 by Winograd's algorithm.
#include <algorithm>

#include "kernels/conv/winograd.h"
#include "kernels/gemm/blocks.h"
#include "kernels/gemm/tile.h"
#include "kernels/reduce.h"

namespace bpcore::kernels {
namespace {

// The numbers of a block's inputs and gradients stay in the level-2 cache.
constexpr int64_t block_bytes = 384 << 10;

// Sums beyond this, which every block goes through, take longer than the products that are saved.
constexpr int64_t most_sum_bytes = 1 << 20;

// Fewer channels or tiles than this don't repay transforms.
constexpr int64_t least_channels = 16, least_tiles = 64;

// A task below this many multiplications is not worth handing out: some of the inputs or gradients are
// transformed once more.
constexpr double task_products = 1e6;

// What a tile of outputs reads of the input, and of the gradient.
Window input_window(const ConvAxis& a) {
  return {a.in, ceil_div(a.out, winograd::side), winograd::side, -a.before, 4, 1};
}
Window gradient_window(const ConvAxis& a) {
  return {a.out, ceil_div(a.out, winograd::side), winograd::side, 0, winograd::side, 1};
}

}  // namespace

template <class T>
bool WinogradWeightGradient<T>::pays(const ConvShape& s) {
  for (const ConvAxis* axis : {&s.y, &s.x})
    if (axis->kernel != 3 || axis->stride != 1 || axis->dilation != 1 || axis->out < 4) return false;
  const int64_t tiles = s.images * input_window(s.y).out * input_window(s.x).out;
  return s.groups == 1 && std::min(s.channels, s.filters) >= least_channels && tiles >= least_tiles &&
         winograd::numbers * s.channels * s.filters * static_cast<int64_t>(sizeof(T)) <= most_sum_bytes;
}

template <class T>
WinogradWeightGradient<T>::WinogradWeightGradient(const ConvShape& shape, int64_t most_tasks)
    : shape_(shape) {
  constexpr int64_t w = simd::vector_width<T>;
  const Window y = input_window(shape.y), x = input_window(shape.x);
  const int64_t tiles = shape.images * y.out * x.out;
  const int64_t channel_vectors = ceil_div(shape.channels, w), filter_vectors = ceil_div(shape.filters, w);
  const double products =
      static_cast<double>(tiles * winograd::numbers) * static_cast<double>(shape.channels * shape.filters);
  const int64_t wanted = std::clamp<int64_t>(static_cast<int64_t>(products / task_products), 1, most_tasks);
  channel_parts_ = std::min(channel_vectors, wanted);
  filter_parts_ = std::clamp<int64_t>(wanted / channel_parts_, 1, filter_vectors);
  input_stride_ = ceil_div(channel_vectors, channel_parts_) * w;
  gradient_stride_ = ceil_div(filter_vectors, filter_parts_) * w;

  const int64_t tile_bytes =
      winograd::numbers * (shape.channels + shape.filters) * static_cast<int64_t>(sizeof(T));
  blocks_ = Blocks(shape.images, y.out, x.out, std::max<int64_t>(block_bytes / tile_bytes, 1), w);
  inputs_ = Bands(y, x, shape.channels, blocks_);
  gradients_ = Bands(gradient_window(shape.y), gradient_window(shape.x), shape.filters, blocks_);
  band_elements_ = round_up(inputs_.elements(), line_elements<T>);
  gradient_band_elements_ = round_up(gradients_.elements(), line_elements<T>);
  const int64_t rows = blocks_.most_images() * blocks_.most_y() * blocks_.most_x();
  input_apart_ = winograd::odd_lines(rows * input_stride_, line_elements<T>);
  gradient_apart_ = winograd::odd_lines(rows * gradient_stride_, line_elements<T>);
  sum_apart_ = winograd::odd_lines(input_stride_ * gradient_stride_, line_elements<T>);
  scratch_elements_ = band_elements_ + gradient_band_elements_ +
                      winograd::numbers * (input_apart_ + gradient_apart_ + sum_apart_);
}

template <class T>
Range WinogradWeightGradient<T>::channels_of(int64_t task) const {
  constexpr int64_t w = simd::vector_width<T>;
  const Range vectors = part_of(ceil_div(shape_.channels, w), channel_parts_, task / filter_parts_);
  return {vectors.begin * w, std::min(vectors.end * w, shape_.channels)};
}

template <class T>
Range WinogradWeightGradient<T>::filters_of(int64_t task) const {
  constexpr int64_t w = simd::vector_width<T>;
  const Range vectors = part_of(ceil_div(shape_.filters, w), filter_parts_, task % filter_parts_);
  return {vectors.begin * w, std::min(vectors.end * w, shape_.filters)};
}

template <class T>
void WinogradWeightGradient<T>::run(int64_t task, const T* x, const T* gradient, T* result, T* sums,
                                    T* scratch) const {
  const Range channels = channels_of(task), filters = filters_of(task);
  const int64_t channel_count = channels.end - channels.begin, filter_count = filters.end - filters.begin;
  T* gradient_band = scratch + band_elements_;
  T* inputs = gradient_band + gradient_band_elements_;
  T* gradients = inputs + winograd::numbers * input_apart_;
  T* products = gradients + winograd::numbers * gradient_apart_;
  T* bias = sums != nullptr && channels.begin == 0 ? sums + filters.begin : nullptr;
  for (int64_t number = 0; number < blocks_.count(); ++number) {
    const Block block = blocks_.at(number);
    const T* band = inputs_.of(block, x, scratch) + channels.begin;
    const T* from = gradients_.of(block, gradient, gradient_band) + filters.begin;
    const int64_t count = block.x.end - block.x.begin;
    int64_t rows = 0;
    for (int64_t image = 0; image < block.images.end - block.images.begin; ++image)
      for (int64_t row = 0; row < block.y.end - block.y.begin; ++row, rows += count) {
        winograd::transform_inputs<T>(
            band + image * inputs_.image_stride() + row * winograd::side * inputs_.row_stride(),
            inputs_.row_stride(), shape_.channels, channel_count, count,
            {inputs + rows * input_stride_, input_apart_, input_stride_});
        winograd::transform_gradients<T>(
            from + image * gradients_.image_stride() + row * winograd::side * gradients_.row_stride(),
            gradients_.row_stride(), shape_.filters, filter_count, count,
            {gradients + rows * gradient_stride_, gradient_apart_, gradient_stride_});
      }
    // Meanwhile, what the next block reads comes from memory.
    const Grid tiles = grid(channel_count, filter_count);
    Fetch<FetchBy::Load> fetch(winograd::numbers * tiles.row_panels * tiles.strips);
    if (number + 1 < blocks_.count()) {
      fetch.add(inputs_.wanted(blocks_.at(number + 1), x));
      fetch.add(gradients_.wanted(blocks_.at(number + 1), gradient));
    }
    multiply(rows, channel_count, filter_count, inputs, gradients, number > 0, products, fetch);
    // The second number of both axes is the sum of a tile's gradients.
    if (bias != nullptr)
      add_columns(gradients + 5 * gradient_apart_, rows, filter_count, gradient_stride_, number > 0, bias);
  }
  for (int64_t channel = 0; channel < channel_count; ++channel)
    winograd::transform_weight_gradient<T>(
        {products, sum_apart_, gradient_stride_}, channel, filter_count,
        result + (channels.begin + channel) * shape_.filters + filters.begin,
        shape_.channels * shape_.filters);
}

template <class T>
typename WinogradWeightGradient<T>::Grid WinogradWeightGradient<T>::grid(int64_t channels,
                                                                         int64_t filters) const {
  const int64_t vectors = ceil_div(filters, int64_t{simd::vector_width<T>});
  const TileLimits tile = tile_limits<T>(channels, vectors);
  return {ceil_div(channels, tile.rows), ceil_div(vectors, tile.vectors)};
}

// products (16, channels, filters) [+]= inputsᵀ (16, channels, rows) gradients (16, rows, filters)
template <class T>
void WinogradWeightGradient<T>::multiply(int64_t rows, int64_t channels, int64_t filters, const T* inputs,
                                         const T* gradients, bool accumulate, T* products,
                                         Fetch<FetchBy::Load>& fetch) const {
  constexpr int64_t w = simd::vector_width<T>;
  const auto find = TileTable<T, TileA::ByDepth>::find;
  const int64_t vectors = ceil_div(filters, w);
  const auto [row_panels, strips] = grid(channels, filters);
  TileCall<T> call{};
  call.a_stride = input_stride_;
  call.b_stride = call.c_stride = gradient_stride_;
  call.depth = rows;
  call.accumulate = accumulate;
  for (int64_t number = 0; number < winograd::numbers; ++number)
    for (int64_t strip = 0; strip < strips; ++strip) {
      const Range columns = part_of(vectors, strips, strip);
      const int64_t width = std::min(columns.end * w, filters) - columns.begin * w;
      const int64_t strip_vectors = columns.end - columns.begin;
      call.last_columns = static_cast<int>(width - (strip_vectors - 1) * w);
      call.b = gradients + number * gradient_apart_ + columns.begin * w;
      for (int64_t i = 0; i < row_panels; ++i) {
        fetch.step();
        const Range panel = part_of(channels, row_panels, i);
        call.a = inputs + number * input_apart_ + panel.begin;
        call.c = products + number * sum_apart_ + panel.begin * gradient_stride_ + columns.begin * w;
        find(static_cast<int>(panel.end - panel.begin), static_cast<int>(strip_vectors),
             call.last_columns < w)(call);
      }
    }
}

template class WinogradWeightGradient<float>;

}  // namespace bpcore::kernels
