#include "graph/planner.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/buffer.h"

namespace bpcore {

namespace {

int64_t padded(const Lifetime& value) { return round_up(std::max<int64_t>(value.bytes, 1), alignment); }

bool meet(const Lifetime& a, const Lifetime& b) { return a.first <= b.last && b.first <= a.last; }

// Each value in the given order goes into the smallest gap between those placed before that live at the same
// time.
Layout place_in_order(const std::vector<Lifetime>& lifetimes, const std::vector<size_t>& order) {
  Layout layout{std::vector<int64_t>(lifetimes.size(), 0), 0};
  std::vector<size_t> placed;  // sorted by offset
  for (size_t current : order) {
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

constexpr size_t many = 4096;  // beyond this, planning time counts more than the last per cent of memory

int64_t duration(const Lifetime& value) { return value.last - value.first + 1; }

}  // namespace

Layout place(const std::vector<Lifetime>& lifetimes) {
  using Before = bool (*)(const Lifetime& a, const Lifetime& b);
  static constexpr Before orders[] = {
      [](const Lifetime& a, const Lifetime& b) { return a.bytes > b.bytes; },
      [](const Lifetime& a, const Lifetime& b) { return a.bytes * duration(a) > b.bytes * duration(b); },
      [](const Lifetime& a, const Lifetime& b) { return duration(a) > duration(b); },
      [](const Lifetime& a, const Lifetime& b) { return a.first < b.first; },
      [](const Lifetime& a, const Lifetime& b) { return a.last > b.last; },
  };
  const int64_t least = largest_live_sum(lifetimes);
  Layout best{{}, std::numeric_limits<int64_t>::max()};
  for (const Before before : orders) {
    std::vector<size_t> order(lifetimes.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return before(lifetimes[a], lifetimes[b]); });
    Layout layout = place_in_order(lifetimes, order);
    if (layout.bytes < best.bytes) best = std::move(layout);
    if (best.bytes == least || lifetimes.size() > many) break;
  }
  return best;
}

int64_t largest_live_sum(const std::vector<Lifetime>& lifetimes) {
  std::vector<int64_t> change;  // of the sum, step by step
  for (const Lifetime& value : lifetimes) {
    change.resize(std::max(change.size(), static_cast<size_t>(value.last) + 2), 0);
    change[static_cast<size_t>(value.first)] += padded(value);
    change[static_cast<size_t>(value.last) + 1] -= padded(value);
  }
  int64_t live = 0, largest = 0;
  for (int64_t step : change) largest = std::max(largest, live += step);
  return largest;
}

}  // namespace bpcore
