#include "graph/planner.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/buffer.h"

namespace bpcore {

namespace {

int64_t padded(const Lifetime& value) { return round_up(std::max<int64_t>(value.bytes, 1), alignment); }

bool meet(const Lifetime& a, const Lifetime& b) { return a.first <= b.last && b.first <= a.last; }

}  // namespace

Layout place(const std::vector<Lifetime>& lifetimes) {
  std::vector<size_t> by_size(lifetimes.size());
  std::iota(by_size.begin(), by_size.end(), size_t{0});
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](size_t a, size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });

  Layout layout{std::vector<int64_t>(lifetimes.size(), 0), 0};
  std::vector<size_t> placed;  // sorted by offset
  for (size_t current : by_size) {
    const int64_t size = padded(lifetimes[current]);
    int64_t free_from = 0, best = -1, best_gap = std::numeric_limits<int64_t>::max();
    for (size_t other : placed) {
      if (!meet(lifetimes[current], lifetimes[other])) continue;
      const int64_t gap = layout.offsets[other] - free_from;
      if (gap >= size && gap < best_gap) {
        best = free_from;
        best_gap = gap;
      }
      free_from = std::max(free_from, layout.offsets[other] + padded(lifetimes[other]));
    }
    const int64_t offset = best >= 0 ? best : free_from;
    layout.offsets[current] = offset;
    layout.bytes = std::max(layout.bytes, offset + size);
    const auto at = std::upper_bound(placed.begin(), placed.end(), offset, [&](int64_t value, size_t other) {
      return value < layout.offsets[other];
    });
    placed.insert(at, current);
  }
  return layout;
}

int64_t largest_live_sum(const std::vector<Lifetime>& lifetimes) {
  int64_t largest = 0;
  for (const Lifetime& moment : lifetimes) {  // the sum only rises where something begins
    int64_t live = 0;
    for (const Lifetime& other : lifetimes)
      if (other.first <= moment.first && moment.first <= other.last) live += padded(other);
    largest = std::max(largest, live);
  }
  return largest;
}

}  // namespace bpcore
