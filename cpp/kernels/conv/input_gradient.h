// The input gradient of a convolution, which is also the transposed convolution.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/ranges.h"
#include "kernels/conv/conv.h"

namespace bpcore::kernels {

// An output meets a position by a tap if they are a multiple of the stride apart. So positions fall into
// residue classes by the stride, each of which meets taps of its own, and of most classes of a large stride
// no tap is met. A correlation for each class that meets some: at most as many as the kernel has taps,
// however large the strides are.
std::vector<CorrelationShape> input_gradient_correlations(const ConvShape& shape);

// The other classes. Their gradient is zero, under relu's mask, too.
class UnmetPositions {
 public:
  explicit UnmetPositions(const ConvShape& shape);

  int64_t tasks() const { return tasks_; }  // none where every class meets a tap
  int64_t elements() const { return images_ * y_.size * x_.size * channels_; }  // at most

  // target (images, y, x, channels)
  template <class T>
  void clear(int64_t task, T* target) const {
    const Range rows = part_of(images_ * y_.size, tasks_, task);
    for (int64_t row = rows.begin; row < rows.end; ++row) {
      T* const begin = target + row * x_.size * channels_;
      const auto clear_positions = [&](int64_t first, int64_t last) {
        std::fill(begin + first * channels_, begin + last * channels_, T(0));
      };
      if (y_.is_unmet(row % y_.size)) {
        clear_positions(0, x_.size);
        continue;
      }
      for (int64_t at = 0; at < x_.size; at += x_.stride)
        for (const Range& gap : x_.gaps)
          if (at + gap.begin < x_.size) clear_positions(at + gap.begin, std::min(at + gap.end, x_.size));
    }
  }

 private:
  struct Axis {
    explicit Axis(const ConvAxis& axis);
    bool is_unmet(int64_t position) const;

    int64_t size, stride;
    std::vector<Range> gaps;  // of the first `stride` positions, those whose classes meet no tap, in order
  };

  int64_t images_, channels_, tasks_;
  Axis y_, x_;
};

}  // namespace bpcore::kernels
