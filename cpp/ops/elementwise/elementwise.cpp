#include "ops/elementwise/elementwise.h"

namespace bpcore {

TensorType unary_type(const char* op, const Signature& node, Accepts accepts) {
  expect_inputs(op, node, 1);
  expect_accepted(op, node, 0, accepts);
  return node.input(0);
}

TensorType binary_type(const char* op, const Signature& node, Accepts accepts, bool is_predicate) {
  expect_inputs(op, node, 2);
  if (accepts != Accepts::Bools) expect_same_dtype(op, node, 0, 1);
  for (int number : {0, 1}) expect_accepted(op, node, number, accepts);
  const Shape shape = broadcast(op, node.input(0).shape, node.input(1).shape);
  return {is_predicate ? DType::Bool : node.input(0).dtype, shape};
}

}  // namespace bpcore
