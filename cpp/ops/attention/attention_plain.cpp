// Checks of attention's inputs, and what it means in plain ops.
#include <limits>

#include "ops/attention/attention.h"
#include "ops/rules.h"

namespace bpcore {

AttentionLayout::AttentionLayout(const char* op, const Attributes& attributes,
                                 const std::vector<TensorType>& inputs)
    : packed(attributes.integer("heads") > 0), count(packed ? 1 : 3) {
  const bool masked = attributes.flag("masked"), limited = attributes.flag("lengths");
  if (masked) mask = count++;
  if (limited) lengths = count++;
  if (static_cast<int>(inputs.size()) < count)
    throw ValueError(concat(op, ": expected ", count, " inputs, got ", inputs.size()));
  const Signature node{inputs, attributes};
  expect_float(op, node, 0);
  const Shape& q = node.input(0).shape;
  if (packed) {
    heads = attributes.integer("heads");
    if (q.rank() != 3 || q.last() == 0 || q.last() % (3 * heads) != 0)
      throw ValueError(concat(op, ": expected shape (batch, time, 3 * ", heads, " * width), got ", q));
    batch = q[0];
    queries = keys = q[1];
    width = q.last() / (3 * heads);
  } else {
    for (int number = 1; number < 3; ++number) expect_same_dtype(op, node, 0, number);
    const Shape &k = node.input(1).shape, &v = node.input(2).shape;
    const bool fits =
        q.rank() == 4 && k.rank() == 4 && k == v && q[0] == k[0] && q[2] == k[2] && q[3] == k[3];
    if (!fits || q[2] == 0 || q[3] == 0)
      throw ValueError(
          concat(op,
                 ": expected q (batch, queries, heads, width), k and v (batch, keys, heads, width), "
                 "heads and width at least 1, got shapes ",
                 q, ", ", k, " and ", v));
    batch = q[0];
    queries = q[1];
    keys = k[1];
    heads = q[2];
    width = q[3];
  }
  if (masked) {
    expect_dtype(op, node, mask, DType::Bool);
    const Shape full{batch, heads, queries, keys};
    const Shape& given = node.input(mask).shape;
    bool fits = given.rank() <= 4;
    for (int axis = 0; fits && axis < given.rank(); ++axis) {
      const int64_t size = full[4 - given.rank() + axis];
      fits = given[axis] == size || given[axis] == 1;
    }
    if (!fits)
      throw ValueError(concat(op, ": a mask of shape ", given,
                              " does not broadcast to (batch, heads, queries, keys) = ", full));
    mask_shape = Shape(std::vector<int64_t>(static_cast<size_t>(4 - given.rank()), 1));
    for (int64_t size : given) mask_shape.append(size);
  }
  if (limited) {
    expect_dtype(op, node, lengths, DType::Int64);
    if (node.input(lengths).shape != Shape{batch})
      throw ValueError(
          concat(op, ": lengths must be of shape (", batch, ",), got ", node.input(lengths).shape));
  }
}

namespace {

Value counted(Graph& graph, int64_t count, const Shape& shape) {
  std::vector<int64_t> numbers(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) numbers[static_cast<size_t>(i)] = i;
  return reshape({graph, graph.constant({DType::Int64, {count}}, numbers.data())}, shape);
}

// Which keys are seen, as (batch, heads, keys, queries) or what broadcasts to it.
std::vector<Value> visible(const AttentionLayout& layout, const std::vector<Value>& inputs,
                           const Attributes& attributes) {
  Graph& graph = inputs[0].graph();
  std::vector<Value> rules;
  const Value keys = counted(graph, layout.keys, {layout.keys, 1});
  if (layout.mask >= 0)
    rules.push_back(apply("transpose", {reshape(inputs[static_cast<size_t>(layout.mask)], layout.mask_shape)},
                          {{"axes", std::vector<int64_t>{0, 1, 3, 2}}}));
  if (attributes.flag("causal"))
    rules.push_back(apply("less_equal", {keys, counted(graph, layout.queries, {1, layout.queries})}));
  if (layout.lengths >= 0)
    rules.push_back(
        apply("less", {keys, reshape(inputs[static_cast<size_t>(layout.lengths)], {layout.batch, 1, 1, 1})}));
  return rules;
}

Value with_heads_first(Value x) {
  return apply("transpose", {x}, {{"axes", std::vector<int64_t>{0, 2, 1, 3}}});
}

}  // namespace

PlainAttention plain_attention(const AttentionLayout& layout, const std::vector<Value>& inputs,
                               const Attributes& attributes) {
  Graph& graph = inputs[0].graph();
  const DType dtype = inputs[0].dtype();
  const Shape full{layout.batch, layout.heads, layout.keys, layout.queries};
  if (layout.keys == 0)
    return {zeros(graph, {dtype, layout.out_shape()}),
            broadcast_to({graph, graph.scalar(std::numeric_limits<double>::infinity(), dtype)},
                         layout.sums_shape())};
  const auto part_of_input = [&](int64_t number) {
    if (!layout.packed) return inputs[static_cast<size_t>(number)];
    const Value part = apply("slice", {inputs[0]},
                             {{"start", std::vector<int64_t>{0, 0, number * layout.features()}},
                              {"size", std::vector<int64_t>{layout.batch, layout.queries, layout.features()}},
                              {"step", std::vector<int64_t>{1, 1, 1}}});
    return reshape(part, layout.out_shape());
  };
  const Value q = with_heads_first(part_of_input(0)), k = with_heads_first(part_of_input(1)),
              v = with_heads_first(part_of_input(2));
  const std::vector<int64_t> over_keys{-2};
  Value scores = attributes.number("scale") * apply("matmul", {k, q}, {{"transpose_b", true}});
  std::vector<Value> rules = visible(layout, inputs, attributes);
  const Value lowest = scores.scalar(-1e30), none = scores.scalar(0);
  for (const Value& rule : rules) scores = where(rule, scores, lowest);
  Value weights = apply("softmax", {scores}, {{"axis", int64_t{-2}}});
  for (const Value& rule : rules) weights = where(rule, weights, none);
  if (attributes.number("rate") > 0)
    weights = apply("dropout", {weights},
                    {{"rate", attributes.number("rate")}, {"stream", attributes.integer("stream")}});
  const Value out = with_heads_first(apply("matmul", {weights, v}, {{"transpose_a", true}}));
  const Value largest =
      apply("stop_gradient", {apply("max", {scores}, {{"axes", over_keys}, {"keepdims", true}})});
  const Value total = largest + apply("log", {sum(apply("exp", {scores - largest}), over_keys, true)});
  const Value infinite = scores.scalar(std::numeric_limits<double>::infinity());
  return {out, reshape(where(largest > lowest, total, infinite), layout.sums_shape())};
}

}  // namespace bpcore
