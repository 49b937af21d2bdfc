// Walks along elements a vector at a time; of the last vector, only what is there is touched.
#pragma once

#include <cstdint>

#include "kernels/lanes.h"
#include "kernels/simd.h"

namespace bpcore::kernels {

// How a vector is read and written: a whole one, or the last, of which only the first lanes are there.
// keep(v) zeroes the others.
template <class T>
struct WholeVector {
  BPCORE_INLINE simd::Vec<T> load(const T* p) const { return simd::load(p); }
  BPCORE_INLINE simd::Vec<T> keep(simd::Vec<T> v) const { return v; }
  BPCORE_INLINE void store(T* p, simd::Vec<T> v) const { simd::store(p, v); }
};

template <class T>
struct LastVector {
  int count;
  simd::Mask<T> mask;

  BPCORE_INLINE explicit LastVector(int64_t count_) : count(static_cast<int>(count_)), mask(count) {}
  BPCORE_INLINE simd::Vec<T> load(const T* p) const { return simd::load(p, mask); }
  BPCORE_INLINE simd::Vec<T> keep(simd::Vec<T> v) const {
    return simd::count_up<T>() < simd::broadcast(static_cast<T>(count)) ? v : simd::Vec<T>{};
  }
  BPCORE_INLINE void store(T* p, simd::Vec<T> v) const { simd::store(p, v, mask); }
};

// body(first element, how to load and store a vector from there)
template <class T, class Body>
BPCORE_INLINE void for_vectors(int64_t count, Body body) {
  constexpr int64_t width = simd::vector_width<T>;
  int64_t i = 0;
  for (; i + width <= count; i += width) body(i, WholeVector<T>{});
  if (const int64_t rest = count % width; rest > 0) body(i, LastVector<T>(rest));
}

}  // namespace bpcore::kernels
