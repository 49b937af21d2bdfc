// Memory that is wanted soon, brought into the caches while something else computes.
#pragma once

#include <cstdint>

#include "core/ranges.h"

namespace bpcore::kernels {

// Lines are asked for a few at a time: all at once, they would wait for each other. They are read, since
// prefetches were found to do nothing for pages that are not at hand; a product has enough to do meanwhile.
template <class T>
class Wanted {
 public:
  Wanted() = default;
  Wanted(const T* begin, int64_t elements) : begin_(begin), lines_(elements / line) {}

  void fetch(int64_t part, int64_t parts) const {
    const Range share = part_of(lines_, parts, part);
    for (int64_t i = share.begin; i < share.end; ++i)
      static_cast<void>(*static_cast<const volatile T*>(begin_ + i * line));
  }

 private:
  static constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));

  const T* begin_ = nullptr;
  int64_t lines_ = 0;
};

}  // namespace bpcore::kernels
