// Whole numbers and how work is cut.
#pragma once

#include <cstdint>

namespace bpcore {

struct Range {
  int64_t begin, end;

  constexpr bool operator==(const Range&) const = default;
};

constexpr int64_t ceil_div(int64_t value, int64_t divisor) { return (value + divisor - 1) / divisor; }

constexpr int64_t round_up(int64_t value, int64_t multiple) { return ceil_div(value, multiple) * multiple; }

// Part `index` of `parts` nearly equal parts of [0, total).
constexpr Range part_of(int64_t total, int64_t parts, int64_t index) {
  return {total * index / parts, total * (index + 1) / parts};
}

// [0, total) in nearly equal parts, the first ones one longer where they can't be equal. It takes no division
// to say where one begins, which small parts would feel.
class Cut {
 public:
  constexpr Cut() = default;
  constexpr Cut(int64_t total, int64_t parts) : length_(total / parts), longer_(total % parts) {}
  constexpr int64_t begin(int64_t part) const { return part * length_ + (part < longer_ ? part : longer_); }

 private:
  int64_t length_ = 0, longer_ = 0;
};

}  // namespace bpcore
