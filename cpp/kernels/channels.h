// Walks along the channels of an element, a vector at a time; of the last, only what is there is touched.
#pragma once

#include <cstdint>

#include "kernels/simd.h"

namespace bpcore::kernels {

template <class T>
struct WholeVector {
  BPCORE_INLINE simd::Vec<T> load(const T* p) const { return simd::load(p); }
  BPCORE_INLINE void store(T* p, simd::Vec<T> v) const { simd::store(p, v); }
};
template <class T>
struct FirstLanes {
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
  for (; channel + width <= channels; channel += width) body(channel, WholeVector<T>{});
  if (rest > 0) body(channel, FirstLanes<T>{simd::Mask<T>(rest)});
}

}  // namespace bpcore::kernels
