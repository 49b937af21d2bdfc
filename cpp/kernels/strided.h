// Copies between a row-major array and a strided view of another.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/loops.h"

namespace bpcore::kernels {

// out (row-major over the walk) ← from (strided); T only stands for the element's size.
template <class T>
void gather_strided(const Walk<1>& walk, Range range, T* out, const T* from) {
  const int64_t step = walk.inner_stride(0);
  walk.runs(range, [&](int64_t position, const std::array<int64_t, 1>& offset, int64_t count) {
    const T* source = from + offset[0];
    T* __restrict to = out + position;
    if (step == 1)
      std::memcpy(to, source, static_cast<size_t>(count) * sizeof(T));
    else
      for (int64_t i = 0; i < count; ++i) to[i] = source[step * i];
  });
}

// to (strided) ← from (row-major over the walk).
template <class T>
void scatter_strided(const Walk<1>& walk, Range range, T* to, const T* from) {
  const int64_t step = walk.inner_stride(0);
  walk.runs(range, [&](int64_t position, const std::array<int64_t, 1>& offset, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[offset[0] + step * i] = from[position + i];
  });
}

}  // namespace bpcore::kernels
