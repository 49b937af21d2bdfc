// A node with its graph, so that derivative rules and decompositions read like their formulas.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"

namespace bpcore {

class Value {
 public:
  Value(Graph& graph, NodeId id) : graph_(&graph), id_(id) {}

  NodeId id() const { return id_; }
  Graph& graph() const { return *graph_; }
  const TensorType& type() const { return graph_->type(id_); }
  const Shape& shape() const { return type().shape; }
  DType dtype() const { return type().dtype; }
  Value scalar(double value) const { return {*graph_, graph_->scalar(value, dtype())}; }

 private:
  Graph* graph_;
  NodeId id_;
};

inline Value apply(const char* op, const std::vector<Value>& inputs, Attributes attributes = {}) {
  std::vector<NodeId> ids;
  for (const Value& input : inputs) ids.push_back(input.id());
  Graph& graph = inputs.front().graph();
  return {graph, graph.add(op, std::move(ids), std::move(attributes))};
}

inline Value operator+(Value a, Value b) { return apply("add", {a, b}); }
inline Value operator-(Value a, Value b) { return apply("subtract", {a, b}); }
inline Value operator*(Value a, Value b) { return apply("multiply", {a, b}); }
inline Value operator/(Value a, Value b) { return apply("divide", {a, b}); }
inline Value operator-(Value a) { return apply("neg", {a}); }
inline Value operator+(double a, Value b) { return b.scalar(a) + b; }
inline Value operator-(double a, Value b) { return b.scalar(a) - b; }
inline Value operator*(double a, Value b) { return b.scalar(a) * b; }
inline Value operator/(double a, Value b) { return b.scalar(a) / b; }
inline Value operator-(Value a, double b) { return a - a.scalar(b); }
inline Value operator>(Value a, Value b) { return apply("greater", {a, b}); }
inline Value where(Value condition, Value a, Value b) { return apply("where", {condition, a, b}); }
inline Value cast(Value a, DType dtype) {
  return apply("cast", {a}, {{"dtype", std::string(name_of(dtype))}});
}
inline Value reshape(Value a, const Shape& shape) {
  return apply("reshape", {a}, {{"shape", shape.to_vector()}});
}
inline Value broadcast_to(Value a, const Shape& shape) {
  return apply("broadcast_to", {a}, {{"shape", shape.to_vector()}});
}
inline Value sum(Value a, std::vector<int64_t> axes, bool keepdims = false) {
  return apply("sum", {a}, {{"axes", std::move(axes)}, {"keepdims", keepdims}});
}
inline Value zeros(Graph& graph, const TensorType& type) {
  return broadcast_to({graph, graph.scalar(0, type.dtype)}, type.shape);
}
// A part of a record (see ops/shapes/part.cpp): its elements from `offset` on, in `shape`.
inline Value part(Value record, int64_t offset, const Shape& shape) {
  return apply("part", {record}, {{"offset", offset}, {"shape", shape.to_vector()}});
}
// A value with one more axis of size 1 at the end: (...) → (..., 1).
inline Value with_last_axis(Value a) {
  Shape shape = a.shape();
  shape.append(1);
  return reshape(a, shape);
}

}  // namespace bpcore
