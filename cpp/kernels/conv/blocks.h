// Sliding windows: which outputs are computed together, and the part of the source that they read.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/ranges.h"
#include "kernels/fetch.h"

namespace bpcore::kernels {

// Tap j of output o reads position begin + o * step + j * spread of an axis of size `in`; outside of it is
// zero.
struct Window {
  int64_t in, out, step, begin, taps, spread;

  int64_t extent(int64_t outputs) const { return (outputs - 1) * step + (taps - 1) * spread + 1; }
  // The taps of an output that are inside, where some may not be.
  Range taps_inside(int64_t output) const {
    const int64_t first = begin + output * step;
    const int64_t from = std::clamp<int64_t>(ceil_div(std::max<int64_t>(-first, 0), spread), 0, taps);
    return {from, std::clamp<int64_t>(ceil_div(std::max<int64_t>(in - first, 0), spread), from, taps)};
  }
  // The taps of all outputs that are inside.
  int64_t all_taps_inside() const {
    int64_t count = 0;
    for (int64_t tap = 0; tap < taps; ++tap) {
      const int64_t first = begin + tap * spread;  // of output 0
      const int64_t from = ceil_div(std::max<int64_t>(-first, 0), step);
      count +=
          std::clamp<int64_t>(ceil_div(std::max<int64_t>(in - first, 0), step), from, std::max(from, out)) -
          std::min(from, out);
    }
    return count;
  }
  bool inside() const { return out == 0 || (begin >= 0 && begin + extent(out) <= in); }
};

// The window of so many outputs side by side, and how many of those there are.
inline Window together(Window window, int64_t outputs) {
  window.taps += (outputs - 1) * window.step;
  window.out = ceil_div(window.out, outputs);
  window.step *= outputs;
  return window;
}

// How many outputs side by side, of at most `most` that `fits` lets pass, have the fewest taps each, if these
// are fewer by a fifth than those of one; otherwise 1.
template <class Fits>
int64_t fewest_taps(int64_t taps, int64_t step, int64_t most, Fits fits) {
  int64_t best = 1;
  double least = 0.8 * static_cast<double>(taps);
  for (int64_t outputs = 2; outputs <= most; ++outputs) {
    const double each = static_cast<double>(taps + (outputs - 1) * step) / static_cast<double>(outputs);
    if (each < least && fits(outputs)) best = outputs, least = each;
  }
  return best;
}

// Outputs that are computed together: whole images, or whole rows of one, or a part of one row.
struct Block {
  Range images, y, x;
};

// Strip `number` of `strips` of so many columns, in whole vectors but for the last.
template <class T>
Range strip_of(int64_t columns, int64_t strips, int64_t number) {
  constexpr int64_t w = simd::vector_width<T>;
  const Range vectors = part_of(ceil_div(columns, w), strips, number);
  return {vectors.begin * w, std::min(columns, vectors.end * w)};
}

class Blocks {
 public:
  Blocks() = default;
  // Of images of (y, x) outputs, about `outputs` together; a part of a row is a multiple of `rows`.
  Blocks(int64_t images, int64_t y, int64_t x, int64_t outputs, int64_t rows)
      : images_(images), y_(y), x_(x), image_step_(1), y_step_(y), x_step_(x) {
    if (x > outputs) {
      y_step_ = 1;
      x_step_ = round_up(std::max<int64_t>(outputs, 1), rows);
    } else if (y * x > outputs) {
      y_step_ = ceil_div(y, ceil_div(y, outputs / x));
    } else {
      image_step_ = outputs / std::max<int64_t>(y * x, 1);
    }
    image_step_ = std::clamp<int64_t>(image_step_, 1, std::max<int64_t>(images, 1));
    y_parts_ = y_step_ > 0 ? ceil_div(y_, y_step_) : 0;
    x_parts_ = x_step_ > 0 ? ceil_div(x_, x_step_) : 0;
  }

  bool whole_rows() const { return x_parts_ <= 1; }
  int64_t count() const { return ceil_div(images_, image_step_) * y_parts_ * x_parts_; }
  int64_t most_images() const { return image_step_; }
  int64_t most_y() const { return std::min(y_step_, y_); }
  int64_t most_x() const { return std::min(x_step_, x_); }

  // body(block) for each block of a task, of `tasks`.
  template <class Body>
  void each(int64_t tasks, int64_t task, Body&& body) const {
    const Range share = part_of(count(), tasks, task);
    for (int64_t block = share.begin; block < share.end; ++block) body(at(block));
  }

  Block at(int64_t number) const {
    const int64_t x = number % x_parts_, y = number / x_parts_ % y_parts_,
                  image = number / x_parts_ / y_parts_;
    return {step(image, image_step_, images_), step(y, y_step_, y_), step(x, x_step_, x_)};
  }

 private:
  static Range step(int64_t number, int64_t size, int64_t total) {
    return {number * size, std::min(total, (number + 1) * size)};
  }

  int64_t images_ = 0, y_ = 0, x_ = 0;
  int64_t image_step_ = 1, y_step_ = 1, x_step_ = 1, y_parts_ = 0, x_parts_ = 0;
};

// What a block reads: the source where it stands, or, if windows reach beyond it, a copy with zeros around.
class Bands {
 public:
  Bands() = default;
  Bands(const Window& y, const Window& x, int64_t channels, const Blocks& blocks)
      : y_(y), x_(x), channels_(channels), copied_(!y.inside() || !x.inside()) {
    row_stride_ = (copied_ ? x.extent(blocks.most_x()) : x.in) * channels;
    image_stride_ = (copied_ ? y.extent(blocks.most_y()) : y.in) * row_stride_;
    elements_ = copied_ && blocks.count() > 0 ? blocks.most_images() * image_stride_ : 0;
  }

  int64_t row_stride() const { return row_stride_; }
  int64_t image_stride() const { return image_stride_; }
  int64_t elements() const { return elements_; }  // of a copy

  // The rows of the source that a block reads.
  template <class T>
  Wanted<T> wanted(const Block& block, const T* source) const {
    const int64_t begin = y_.begin + block.y.begin * y_.step;
    const int64_t end = begin + y_.extent(block.y.end - block.y.begin);
    const int64_t first = block.images.begin * y_.in + std::clamp<int64_t>(begin, 0, y_.in);
    const int64_t last = (block.images.end - 1) * y_.in + std::clamp<int64_t>(end, 0, y_.in);
    const int64_t row = x_.in * channels_;
    return {source + first * row, (last - first) * row};
  }

  // Where the first tap of the block's first output lies.
  template <class T>
  const T* of(const Block& block, const T* source, T* copy) const {
    if (!copied_) {
      const int64_t y = y_.begin + block.y.begin * y_.step, x = x_.begin + block.x.begin * x_.step;
      return source + block.images.begin * image_stride_ + y * row_stride_ + x * channels_;
    }
    const int64_t rows = y_.extent(block.y.end - block.y.begin);
    for (int64_t image = block.images.begin; image < block.images.end; ++image) {
      T* target = copy + (image - block.images.begin) * image_stride_;
      for (int64_t row = 0; row < rows; ++row, target += row_stride_) {
        const int64_t y = y_.begin + block.y.begin * y_.step + row;
        copy_row(y >= 0 && y < y_.in ? source + (image * y_.in + y) * x_.in * channels_ : nullptr, block.x,
                 target);
      }
    }
    return copy;
  }

 private:
  template <class T>
  void copy_row(const T* row, Range outputs, T* target) const {
    const int64_t begin = x_.begin + outputs.begin * x_.step;
    const int64_t end = begin + x_.extent(outputs.end - outputs.begin);
    const int64_t from = row == nullptr ? end : std::clamp<int64_t>(0, begin, end);
    const int64_t to = row == nullptr ? end : std::clamp(x_.in, from, end);
    std::fill_n(target, (from - begin) * channels_, T(0));
    if (to > from)
      std::memcpy(target + (from - begin) * channels_, row + from * channels_,
                  static_cast<size_t>((to - from) * channels_) * sizeof(T));
    std::fill_n(target + (to - begin) * channels_, (end - to) * channels_, T(0));
  }

  Window y_{}, x_{};
  int64_t channels_ = 0, row_stride_ = 0, image_stride_ = 0, elements_ = 0;
  bool copied_ = false;
};

}  // namespace bpcore::kernels
