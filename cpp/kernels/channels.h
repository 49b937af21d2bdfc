// Walks along the channels of an element, a vector at a time; of the last, only what is there is touched.
#pragma once

#include <cstdint>

#include "kernels/simd.h"

namespace bpcore::kernels {

template <class T>
struct WholeChannels {
  BPCORE_INLINE simd::Vec<T> load(const T* p) const { return simd::load(p); }
  BPCORE_INLINE void store(T* p, simd::Vec<T> v) const { simd::store(p, v); }
};
template <class T>
struct FirstChannels {
  simd::Mask<T> mask;
  BPCORE_INLINE simd::Vec<T> load(const T* p) const { return simd::load(p, mask); }
  BPCORE_INLINE void store(T* p, simd::Vec<T> v) const { simd::store(p, v, mask); }
};

// body(first channel, how to load and store a vector of channels)
template <class T, class Body>
BPCORE_INLINE void for_channels(int64_t channels, Body body) {
  constexpr int64_t width = simd::vector_width<T>;
  const int rest = static_cast<int>(channels % width);
  int64_t channel = 0;
  for (; channel + width <= channels; channel += width) body(channel, WholeChannels<T>{});
  if (rest > 0) body(channel, FirstChannels<T>{simd::Mask<T>(rest)});
}

// sums[j] (+)= Σ of column j of x, which lies in the level-1 cache: four running sums side by side.
template <class T>
void add_columns(const T* x /* (rows, width), stride apart */, int64_t rows, int64_t width, int64_t stride,
                 bool accumulate, T* sums) {
  constexpr int64_t chains = 4;
  for_channels<T>(width, [&](int64_t column, const auto& access) {
    simd::Vec<T> part[chains] = {};
    const T* row = x + column;
    int64_t rest = rows;
    for (; rest >= chains; rest -= chains, row += chains * stride) {
#pragma GCC unroll 4
      for (int64_t i = 0; i < chains; ++i) part[i] += access.load(row + i * stride);
    }
    for (; rest > 0; --rest, row += stride) part[0] += access.load(row);
    const simd::Vec<T> sum = (part[0] + part[1]) + (part[2] + part[3]);
    access.store(sums + column, accumulate ? access.load(sums + column) + sum : sum);
  });
}

}  // namespace bpcore::kernels
