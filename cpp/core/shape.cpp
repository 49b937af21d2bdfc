#include "core/shape.h"

#include <algorithm>

#include "core/error.h"

namespace bpcore {

Shape::Shape(std::initializer_list<int64_t> sizes) {
  for (int64_t size : sizes) append(size);
}

Shape::Shape(const std::vector<int64_t>& sizes) {
  for (int64_t size : sizes) {
    if (size < 0) throw ValueError(concat("shape: a size must not be negative, got ", size));
    append(size);
  }
}

int64_t Shape::elements() const {
  int64_t count = 1;
  bool overflows = false;
  for (int64_t size : *this) overflows |= __builtin_mul_overflow(count, size, &count);
  if (overflows || count > max_elements) throw ValueError(concat("shape: ", *this, " is too large"));
  return count;
}

void Shape::append(int64_t size) {
  if (rank_ == max_rank) throw ValueError(concat("shape: at most ", max_rank, " axes are supported"));
  sizes_[rank_++] = size;
}

Shape Shape::head(int count) const {
  Shape result;
  for (int axis = 0; axis < count; ++axis) result.append(sizes_[axis]);
  return result;
}

bool Shape::operator==(const Shape& other) const {
  return rank_ == other.rank_ && std::equal(begin(), end(), other.begin());
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) {
  out << '(';
  for (int axis = 0; axis < shape.rank(); ++axis) out << (axis ? ", " : "") << shape[axis];
  return out << (shape.rank() == 1 ? ",)" : ")");
}

Shape broadcast(const char* op, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape result;
  for (int axis = 0; axis < rank; ++axis) {
    const int in_a = axis - (rank - a.rank()), in_b = axis - (rank - b.rank());
    const int64_t size_a = in_a < 0 ? 1 : a[in_a], size_b = in_b < 0 ? 1 : b[in_b];
    if (size_a != size_b && size_a != 1 && size_b != 1)
      throw ValueError(concat(op, ": shapes ", a, " and ", b, " do not broadcast together"));
    result.append(size_a == 1 ? size_b : size_a);
  }
  return result;
}

int normalize_axis(const char* op, int64_t axis, int rank) {
  if (axis < -rank || axis >= rank)
    throw ValueError(concat(op, ": axis ", axis, " is out of range for ", rank, " axes"));
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

std::array<int64_t, Shape::max_rank> strides_of(const Shape& shape) {
  std::array<int64_t, Shape::max_rank> strides{};
  int64_t stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

}  // namespace bpcore
