// Recurrence step by step, as graph nodes: what the fused ops mean, and their second derivatives.
#pragma once

#include <cstring>
#include <initializer_list>
#include <utility>
#include <vector>

#include "graph/op.h"
#include "graph/value.h"
#include "ops/rules.h"

namespace bpcore {

// The inputs of a backward op beyond the first ones: each is there if the flag of its name is set.
class OptionalInputs {
 public:
  OptionalInputs(const Attributes& attributes, int first, std::initializer_list<const char*> names)
      : end_(first) {
    for (const char* name : names) places_.emplace_back(name, attributes.flag(name) ? end_++ : -1);
  }

  int count() const { return end_; }  // of all inputs
  int place(const char* name) const {
    for (const auto& [known, place] : places_)
      if (std::strcmp(known, name) == 0) return place;
    return -1;
  }
  bool has(const char* name) const { return place(name) >= 0; }

  // dtypes: lengths are integers, all others floats of one dtype.
  void expect_dtypes(const char* op, const Signature& node) const {
    expect_inputs(op, node, count());
    expect_float(op, node, 0);
    for (int number = 1; number < count(); ++number) {
      if (number == place("lengths"))
        expect_dtype(op, node, number, DType::Int64);
      else
        expect_same_dtype(op, node, 0, number);
    }
  }
  void expect_shape_of(const char* op, const Signature& node, const char* name, const Shape& shape) const {
    if (has(name) && node.input(place(name)).shape != shape)
      throw ValueError(
          concat(op, ": ", name, " must be of shape ", shape, ", got ", node.input(place(name)).shape));
  }
  // The input, or `otherwise` where it isn't given.
  Value value(const std::vector<Value>& inputs, const char* name, Value otherwise) const {
    return has(name) ? inputs[static_cast<size_t>(place(name))] : otherwise;
  }
  std::vector<Value> lengths(const std::vector<Value>& inputs) const {
    return has("lengths") ? std::vector{inputs[static_cast<size_t>(place("lengths"))]} : std::vector<Value>{};
  }

  template <class T>
  const T* pointer(const Frame& frame, const char* name) const {
    return has(name) ? frame.input<T>(place(name)) : nullptr;
  }

 private:
  std::vector<std::pair<const char*, int>> places_;
  int end_;
};

// A backward op on its way into the graph: gradients that are zero by construction stay outside.
class BackwardCall {
 public:
  BackwardCall(std::vector<Value> first, int64_t steps)
      : inputs_(std::move(first)), attributes_{{"steps", steps}} {}

  void set(const char* name, Attributes::Value value) { attributes_.set(name, std::move(value)); }
  void pass(const char* name, Value value) {
    if (value.graph().is_zero(value.id())) return;
    attributes_.set(name, true);
    inputs_.push_back(value);
  }
  Value add(const char* op) const { return apply(op, inputs_, attributes_); }

 private:
  std::vector<Value> inputs_;
  Attributes attributes_;
};

// x (batch, steps, width) at step t: (batch, width).
inline Value at_step(Value x, int64_t t) {
  const Shape& shape = x.shape();
  const std::vector<int64_t> start{0, t, 0}, size{shape[0], 1, shape[2]}, step{1, 1, 1};
  return reshape(apply("slice", {x}, {{"start", start}, {"size", size}, {"step", step}}),
                 {shape[0], shape[2]});
}

// Columns [begin, begin + count) of x (rows, columns).
inline Value columns_of(Value x, int64_t begin, int64_t count) {
  const std::vector<int64_t> start{0, begin}, size{x.shape()[0], count}, step{1, 1};
  return apply("slice", {x}, {{"start", start}, {"size", size}, {"step", step}});
}

// Values (batch, width), one for each step, as (batch, steps, width).
inline Value join_steps(const std::vector<Value>& steps) {
  std::vector<Value> pieces;
  for (const Value& step : steps) pieces.push_back(reshape(step, {step.shape()[0], 1, step.shape()[1]}));
  return apply("concatenate", pieces, {{"axis", int64_t{1}}});
}

// The same, as (steps · batch, width): all rows of a step lie together.
inline Value join_rows(const std::vector<Value>& steps) {
  return apply("concatenate", steps, {{"axis", int64_t{0}}});
}

// x (steps · batch, width) at step t: (batch, width).
inline Value rows_of_step(Value x, int64_t t, int64_t batch) {
  const std::vector<int64_t> start{t * batch, 0}, size{batch, x.shape()[1]}, step{1, 1};
  return apply("slice", {x}, {{"start", start}, {"size", size}, {"step", step}});
}

inline Value join_columns(const std::vector<Value>& parts) {
  return apply("concatenate", parts, {{"axis", int64_t{1}}});
}

inline Value zeros_like(Value x) { return zeros(x.graph(), x.type()); }

// Steps beyond a row's length: `before` stays.
class StepMask {
 public:
  explicit StepMask(const std::vector<Value>& lengths) : lengths_(lengths) {}

  Value choose(int64_t t, Value now, Value before) const {
    if (lengths_.empty()) return now;
    return where(with_last_axis(lengths_[0] > lengths_[0].scalar(static_cast<double>(t))), now, before);
  }
  Value or_zero(int64_t t, Value now) const {
    return lengths_.empty() ? now : choose(t, now, zeros_like(now));
  }

 private:
  std::vector<Value> lengths_;  // (batch), or empty: all steps count
};

inline Value product(Value a, Value b, bool transpose_a = false, bool transpose_b = false) {
  return apply("matmul", {a, b}, {{"transpose_a", transpose_a}, {"transpose_b", transpose_b}});
}

// The gradient of a recurrent weight: all steps in one product. previous (batch, steps, units), gradient
// (batch, steps, width).
inline Value weight_gradient(Value previous, Value gradient) {
  const auto as_rows = [](Value x) {
    const Shape& shape = x.shape();
    return reshape(x, {shape[0] * shape[1], shape[2]});
  };
  return product(as_rows(previous), as_rows(gradient), true);
}

}  // namespace bpcore
