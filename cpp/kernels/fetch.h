// Memory that will be wanted soon, fetched a few cache lines at a time while something else is computed.
//
// A processor fetches ahead by itself where memory is read in its order. Pieces of rows, far apart, are
// waited for one by one, and asking for them shortly before is no better: what comes from beyond the caches
// comes fast only in its order. So memory is fetched whole, long before, at a pace that products leave room
// for.
#pragma once

#include <array>
#include <cstdint>

#include "core/ranges.h"
#include "kernels/simd.h"

namespace bpcore::kernels {

class Fetch {
 public:
  // Asks for all that has been added within `steps` steps.
  explicit Fetch(int64_t steps) : steps_(steps) {}

  // Part `part` of `parts` of `count` elements.
  template <class T>
  void add(const T* begin, int64_t count, int64_t part, int64_t parts) {
    const Range share = part_of(ceil_div(count * static_cast<int64_t>(sizeof(T)), line), parts, part);
    pieces_.at(count_++) = {reinterpret_cast<const char*>(begin) + share.begin * line,
                            share.end - share.begin};
    lines_ += share.end - share.begin;
    pace_ = ceil_div(lines_, steps_);
  }

  BPCORE_INLINE void step() {
    for (int64_t left = pace_; left > 0 && at_ < count_;) {
      Piece& piece = pieces_[at_];
      const int64_t lines = left < piece.lines ? left : piece.lines;
      for (int64_t i = 0; i < lines; ++i) simd::prefetch(piece.begin + i * line);
      piece.begin += lines * line;
      piece.lines -= lines;
      left -= lines;
      if (piece.lines == 0) ++at_;
    }
  }

 private:
  static constexpr int64_t line = 64;
  struct Piece {
    const char* begin;
    int64_t lines;
  };

  int64_t steps_, lines_ = 0, pace_ = 0;  // lines a step
  std::array<Piece, 8> pieces_{};
  size_t count_ = 0, at_ = 0;
};

}  // namespace bpcore::kernels
