// Checks that shape rules share. Each throws an error that names the op, what it expects and what came.
#pragma once

#include <algorithm>

#include "core/error.h"
#include "graph/op.h"
#include "kernels/loops.h"

namespace bpcore {

inline void expect_inputs(const char* op, const Signature& node, int least, int most) {
  if (node.count() < least || node.count() > most)
    throw ValueError(concat(op, ": expected ", least, least == most ? "" : concat(" to ", most),
                            " inputs, got ", node.count()));
}

inline void expect_inputs(const char* op, const Signature& node, int count) {
  expect_inputs(op, node, count, count);
}

inline void expect_float(const char* op, const Signature& node, int number) {
  if (!is_float(node.input(number).dtype))
    throw TypeError(concat(op, ": input ", number, " must be float32 or float64, not ",
                           name_of(node.input(number).dtype)));
}

inline void expect_dtype(const char* op, const Signature& node, int number, DType dtype) {
  if (node.input(number).dtype != dtype)
    throw TypeError(concat(op, ": input ", number, " must be ", name_of(dtype), ", not ",
                           name_of(node.input(number).dtype)));
}

inline void expect_not_bool(const char* op, const Signature& node, int number) {
  if (node.input(number).dtype == DType::Bool)
    throw TypeError(concat(op, ": input ", number, " must be a number, not bool; cast it first"));
}

inline void expect_same_dtype(const char* op, const Signature& node, int a, int b) {
  if (node.input(a).dtype != node.input(b).dtype)
    throw TypeError(concat(op, ": dtypes ", name_of(node.input(a).dtype), " and ",
                           name_of(node.input(b).dtype), " differ; cast one of them"));
}

// Which dtypes an elementwise op takes.
enum class Accepts { Floats, Numbers, Bools, Anything };

inline void expect_accepted(const char* op, const Signature& node, int number, Accepts accepts) {
  if (accepts == Accepts::Floats) expect_float(op, node, number);
  if (accepts == Accepts::Numbers) expect_not_bool(op, node, number);
  if (accepts == Accepts::Bools) expect_dtype(op, node, number, DType::Bool);
}

// visitor(TypeTag<T>{}) for an accepted dtype: nothing is compiled for the others.
template <Accepts accepts, class Visitor>
void with_accepted(DType dtype, Visitor&& visitor) {
  if constexpr (accepts == Accepts::Bools) {
    visitor(TypeTag<Bool>{});
  } else if constexpr (accepts == Accepts::Anything) {
    with_any(dtype, visitor);
  } else if constexpr (accepts == Accepts::Numbers) {
    if (dtype == DType::Int64)
      visitor(TypeTag<int64_t>{});
    else
      with_float(dtype, visitor);
  } else {
    with_float(dtype, visitor);
  }
}

// A routine over `elements` of about `nanoseconds` each, cut by kernels::elementwise_range; what runs is
// still to be set.
inline Routine elementwise_routine(int64_t elements, double nanoseconds) {
  Routine routine;
  routine.tasks = kernels::elementwise_tasks(elements);
  routine.cost = nanoseconds * static_cast<double>(elements);
  return routine;
}

// An array cut at one axis: (outer, size, inner).
struct AxisSplit {
  int64_t outer = 1, size = 1, inner = 1;
};

inline AxisSplit split_at(const Shape& shape, int axis) {
  AxisSplit split;
  for (int i = 0; i < shape.rank(); ++i)
    (i < axis ? split.outer : i == axis ? split.size : split.inner) *= shape[i];
  return split;
}

// How many tasks of about `work` units each make up `items` items of `each` units; at least one.
inline int64_t tasks_for(int64_t items, int64_t each, int64_t work = 16384) {
  const int64_t per_task = std::max<int64_t>(1, work / std::max<int64_t>(each, 1));
  return std::max<int64_t>(1, ceil_div(items, per_task));
}

}  // namespace bpcore
