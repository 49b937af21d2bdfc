// What one core of this machine can do at this moment: the yardsticks of the other benchmarks.
#pragma once

#include <cstdint>

#include "core/buffer.h"

namespace bpcore::benchmarks {

// FLOP/s of fused multiply-adds at the full vector width that touch nothing but registers, over about 0.2 ms;
// a multiply-add counts as two. For T float and double.
template <class T>
double fma_peak();

// std::memcpy between two halves of `bytes` bytes of memory: what `bytes` of data can be moved at, wherever
// in the hierarchy they lie.
class Copy {
 public:
  explicit Copy(int64_t bytes);

  // Bytes read plus bytes written a second, over about 0.2 ms or one copy.
  double bandwidth();

 private:
  Buffer from_, to_;
  int64_t repeats_;
};

}  // namespace bpcore::benchmarks
