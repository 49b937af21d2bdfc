// How elementwise work is walked: broadcast shapes collapsed to a few axes, cut into tasks of a fixed size.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "core/ranges.h"
#include "core/shape.h"

namespace bpcore::kernels {

// Elements a task: large enough to hide a call, small enough to share out.
constexpr int64_t elements_per_task = 16384;

inline int64_t elementwise_tasks(int64_t elements) {
  return std::max<int64_t>(1, ceil_div(elements, elements_per_task));
}

inline Range elementwise_range(int64_t elements, int64_t task) {
  return {task * elements_per_task, std::min(elements, (task + 1) * elements_per_task)};
}

// N arrays walked together in the row-major order of `shape`; strides in elements, 0 where an array is
// broadcast. Neighbouring axes that can be walked as one have been merged, so most walks have a single axis.
template <int N>
struct Walk {
  int rank = 0;
  std::array<int64_t, Shape::max_rank> sizes{};
  std::array<std::array<int64_t, Shape::max_rank>, N> strides{};
  int64_t elements = 1;

  // Appends an axis inside the present ones.
  void append(int64_t size, const std::array<int64_t, N>& stride) {
    elements *= size;
    if (size == 1) return;
    bool merges = rank > 0;
    for (int array = 0; array < N && merges; ++array)
      merges = strides[array][rank - 1] == stride[array] * size;
    if (merges) {
      sizes[rank - 1] *= size;
    } else {
      sizes[rank++] = size;
    }
    for (int array = 0; array < N; ++array) strides[array][rank - 1] = stride[array];
  }

  int64_t inner_size() const { return rank == 0 ? 1 : sizes[rank - 1]; }
  int64_t inner_stride(int array) const { return rank == 0 ? 0 : strides[array][rank - 1]; }

  // Calls body(offset in the output order, {offset of each array}, count) for each run along the innermost
  // axis within [begin, end).
  template <class Body>
  void runs(Range range, Body&& body) const {
    const int64_t inner = inner_size();
    for (int64_t position = range.begin; position < range.end;) {
      std::array<int64_t, N> offset{};
      int64_t rest = position;
      for (int axis = rank - 1; axis >= 0; --axis) {
        const int64_t coordinate = rest % sizes[axis];
        rest /= sizes[axis];
        for (int array = 0; array < N; ++array) offset[array] += coordinate * strides[array][axis];
      }
      const int64_t count = std::min(inner - position % inner, range.end - position);
      body(position, offset, count);
      position += count;
    }
  }
};

// A walk over the broadcast of N shapes to `output`.
template <int N>
Walk<N> broadcast_walk(const Shape& output, const std::array<Shape, N>& shapes) {
  Walk<N> walk;
  std::array<std::array<int64_t, Shape::max_rank>, N> strides;
  for (int array = 0; array < N; ++array) strides[array] = strides_of(shapes[array]);
  for (int axis = 0; axis < output.rank(); ++axis) {
    std::array<int64_t, N> stride{};
    for (int array = 0; array < N; ++array) {
      const int own = axis - (output.rank() - shapes[array].rank());
      stride[array] = own < 0 || shapes[array][own] == 1 ? 0 : strides[array][own];
    }
    walk.append(output[axis], stride);
  }
  return walk;
}

}  // namespace bpcore::kernels
