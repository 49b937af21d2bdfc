// Shapes: up to eight dimensions held in place, so that copying one never allocates.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <vector>

namespace bpcore {

class Shape {
 public:
  static constexpr int max_rank = 8;
  static constexpr int64_t max_elements = int64_t{1}
                                          << 46;  // so that counts of bytes and their sums fit in int64

  Shape() = default;
  Shape(std::initializer_list<int64_t> sizes);
  explicit Shape(
      const std::vector<int64_t>& sizes);  // throws ValueError: more than max_rank axes, a negative size

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return sizes_[axis]; }
  int64_t& operator[](int axis) { return sizes_[axis]; }
  int64_t elements() const;  // throws ValueError beyond max_elements
  int64_t last() const { return sizes_[rank_ - 1]; }

  void append(int64_t size);  // throws ValueError beyond max_rank
  // The first `count` axes.
  Shape head(int count) const;

  bool operator==(const Shape& other) const;
  bool operator!=(const Shape& other) const { return !(*this == other); }

  const int64_t* begin() const { return sizes_.data(); }
  const int64_t* end() const { return sizes_.data() + rank_; }
  std::vector<int64_t> to_vector() const { return {begin(), end()}; }

 private:
  std::array<int64_t, max_rank> sizes_{};
  int rank_ = 0;
};

// Prints as Python does: (), (3,), (2, 3).
std::ostream& operator<<(std::ostream& out, const Shape& shape);

// NumPy's broadcasting of two shapes. Throws ValueError naming `op` and both shapes.
Shape broadcast(const char* op, const Shape& a, const Shape& b);

// Axis in [-rank, rank) → [0, rank). Throws ValueError naming `op`.
int normalize_axis(const char* op, int64_t axis, int rank);

// Strides in elements of a row-major array.
std::array<int64_t, Shape::max_rank> strides_of(const Shape& shape);

}  // namespace bpcore
