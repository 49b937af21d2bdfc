// Memory that will be wanted soon, brought into the caches a few lines at a time while something else is
// computed.
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

// Elements that lie one after the other.
template <class T>
struct Wanted {
  const T* begin = nullptr;
  int64_t elements = 0;
};

// Prefetches cost least, but were found to do nothing for pages that are not at hand: images are beyond them.
// Loads are waited for then; a product has enough to do meanwhile.
enum class FetchBy { Prefetch, Load };

template <FetchBy by>
class Fetch {
 public:
  // Asks for all that has been added within `steps` steps.
  explicit Fetch(int64_t steps) : steps_(steps) {}

  // Part `part` of `parts`.
  template <class T>
  void add(const Wanted<T>& wanted, int64_t part = 0, int64_t parts = 1) {
    const int64_t bytes = wanted.elements * static_cast<int64_t>(sizeof(T));
    const Range share = part_of(ceil_div(bytes, simd::line_bytes), parts, part);
    const int64_t lines = share.end - share.begin;
    if (lines == 0) return;
    pieces_.at(count_++) = {reinterpret_cast<const char*>(wanted.begin) + share.begin * simd::line_bytes,
                            lines, ceil_div(lines, steps_)};
  }

  // All pieces side by side: several runs of lines are on their way at once.
  BPCORE_INLINE void step() {
    for (size_t i = 0; i < count_; ++i) {
      Piece& piece = pieces_[i];
      const int64_t lines = piece.pace < piece.lines ? piece.pace : piece.lines;
      for (int64_t line = 0; line < lines; ++line) ask(piece.begin + line * simd::line_bytes);
      piece.begin += lines * simd::line_bytes;
      piece.lines -= lines;
    }
  }

 private:
  BPCORE_INLINE static void ask(const char* line) {
    if constexpr (by == FetchBy::Prefetch)
      simd::prefetch(line);
    else
      static_cast<void>(*static_cast<const volatile char*>(line));
  }

  struct Piece {
    const char* begin;
    int64_t lines, pace;  // left, and for each step
  };

  int64_t steps_;
  std::array<Piece, 8> pieces_{};
  size_t count_ = 0;
};

}  // namespace bpcore::kernels
