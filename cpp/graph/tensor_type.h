// What is known of a tensor while a graph is made.
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/shape.h"

namespace bpcore {

struct TensorType {
  DType dtype;
  Shape shape;

  int64_t bytes() const { return shape.elements() * static_cast<int64_t>(size_of(dtype)); }
  bool operator==(const TensorType& other) const { return dtype == other.dtype && shape == other.shape; }
};

}  // namespace bpcore
