#include "graph/fusions.h"

#include <cstring>

namespace bpcore {

namespace {

using Item = Program::Item;

// add(matmul(x, w), b) → dense(x, w, b), for one weight matrix and a bias along its columns; likewise
// add(conv2d(x, w), b) → conv2d(x, w, b).
std::optional<Fusion> layer_with_bias(const Items& items, const Item& item) {
  const Graph& graph = items.graph;
  if (std::strcmp(item.op->name(), "add") != 0) return {};
  for (size_t side : {size_t{0}, size_t{1}}) {
    const NodeId product = item.inputs[side], bias = item.inputs[1 - side];
    const bool conv = graph.is(product, "conv2d");
    if ((!conv && !graph.is(product, "matmul")) || !items.only_user(product)) continue;
    const Node& node = graph.node(product);
    const Shape &weight = graph.type(node.inputs[1]).shape, &shape = graph.type(bias).shape;
    if (shape.rank() != 1 || shape[0] != weight.last()) continue;
    if (conv) {
      if (node.inputs.size() != 2 || !node.attributes.text("activation", "").empty()) continue;
      return Fusion{{item.id, node.op, {node.inputs[0], node.inputs[1], bias}, node.attributes}, {product}};
    }
    if (node.attributes.flag("transpose_a") || node.attributes.flag("transpose_b")) continue;
    if (weight.rank() != 2) continue;
    return Fusion{{item.id, &find_op("dense"), {node.inputs[0], node.inputs[1], bias}, {}}, {product}};
  }
  return {};
}

// relu(dense(x, w, b)) → dense[relu](x, w, b); sigmoid and tanh, and conv2d, likewise. Their derivatives read
// the activation's output only, so the value before it is not needed again.
std::optional<Fusion> layer_with_activation(const Items& items, const Item& item) {
  const char* activation = item.op->name();
  const bool known = std::strcmp(activation, "relu") == 0 || std::strcmp(activation, "sigmoid") == 0 ||
                     std::strcmp(activation, "tanh") == 0;
  if (!known || !items.only_user(item.inputs[0])) return {};
  const Item* input = items.of(item.inputs[0]);
  if (input == nullptr) return {};
  const char* layer = input->op->name();
  if ((std::strcmp(layer, "dense") != 0 && std::strcmp(layer, "conv2d") != 0) ||
      !input->attributes.text("activation", "").empty())
    return {};
  Attributes attributes = input->attributes;
  attributes.set("activation", std::string(activation));
  return Fusion{{item.id, input->op, input->inputs, attributes}, {item.inputs[0]}};
}

// add(dense(x, w, b), r) → dense[add](x, w, b, r): r, of the same shape, is added while the product is in
// registers. Likewise of a product of two matrices, and of one that is shown under another shape.
std::optional<Fusion> product_with_add(const Items& items, const Item& item) {
  const Graph& graph = items.graph;
  if (std::strcmp(item.op->name(), "add") != 0) return {};
  const Shape& shape = graph.type(item.id).shape;
  for (size_t side : {size_t{1}, size_t{0}}) {
    const NodeId summand = item.inputs[side], other = item.inputs[1 - side];
    if (graph.type(summand).shape != shape || graph.type(other).shape != shape) continue;
    if (!items.only_user(summand)) continue;
    std::vector<NodeId> absorbed{summand};
    NodeId product = summand;
    if (graph.is(summand, "reshape")) {
      product = graph.node(summand).inputs[0];
      absorbed.push_back(product);
      if (!items.only_user(product)) continue;
    }
    const Item* found = items.of(product);
    if (found == nullptr || !found->attributes.text("then", "").empty()) continue;
    const Shape& matrix = graph.type(product).shape;
    const bool dense =
        std::strcmp(found->op->name(), "dense") == 0 && found->attributes.text("activation", "").empty();
    const bool matrices = std::strcmp(found->op->name(), "matmul") == 0 && matrix.rank() == 2;
    if (!dense && !matrices) continue;
    Fusion fusion{{item.id, found->op, found->inputs, found->attributes}, std::move(absorbed)};
    fusion.item.inputs.push_back(other);
    fusion.item.attributes.set("then", std::string("add"));
    return fusion;
  }
  return {};
}

// relu_gradient(matmul(a, b), y) → matmul[relu_gradient](a, b, y): the gradient is zeroed while it is in
// registers. Likewise of conv2d_input_gradient.
std::optional<Fusion> product_with_relu_gradient(const Items& items, const Item& item) {
  const Graph& graph = items.graph;
  if (std::strcmp(item.op->name(), "relu_gradient") != 0) return {};
  const NodeId product = item.inputs[0], y = item.inputs[1];
  const Shape& shape = graph.type(product).shape;
  const bool matrices = graph.is(product, "matmul") && shape.rank() == 2;
  if ((!matrices && !graph.is(product, "conv2d_input_gradient")) || !items.only_user(product)) return {};
  if (graph.type(y).shape != shape) return {};
  const Node& node = graph.node(product);
  Attributes attributes = node.attributes;
  attributes.set("then", std::string("relu_gradient"));
  return Fusion{{item.id, node.op, {node.inputs[0], node.inputs[1], y}, attributes}, {product}};
}

// relu_gradient(max_pool2d_gradient(y, g), y) → max_pool2d_gradient[relu_gradient](y, g): only where a
// window's largest element is positive does its gradient go on.
std::optional<Fusion> max_pool_with_relu_gradient(const Items& items, const Item& item) {
  if (std::strcmp(item.op->name(), "relu_gradient") != 0) return {};
  const NodeId pooled = item.inputs[0], y = item.inputs[1];
  if (!items.graph.is(pooled, "max_pool2d_gradient") || !items.only_user(pooled)) return {};
  const Node& node = items.graph.node(pooled);
  if (node.inputs[0] != y) return {};
  Attributes attributes = node.attributes;
  attributes.set("then", std::string("relu_gradient"));
  return Fusion{{item.id, node.op, node.inputs, attributes}, {pooled}};
}

// lstm(gather(table, i), ...) → lstm[from_table](table, ..., i); likewise rnn and gru.
std::optional<Fusion> recurrence_from_table(const Items& items, const Item& item) {
  const Graph& graph = items.graph;
  const char* op = item.op->name();
  if (std::strcmp(op, "lstm") != 0 && std::strcmp(op, "gru") != 0 && std::strcmp(op, "rnn") != 0) return {};
  const NodeId gathered = item.inputs[0];
  if (!graph.is(gathered, "gather") || !items.only_user(gathered)) return {};
  const Node& gather = graph.node(gathered);
  const Shape& table = graph.type(gather.inputs[0]).shape;
  const int64_t axis = gather.attributes.integer("axis");
  if (table.rank() != 2 || table[0] == 0 || (axis != 0 && axis != -2)) return {};
  Item fused{item.id, item.op, item.inputs, item.attributes};
  fused.inputs[0] = gather.inputs[0];
  fused.inputs.push_back(gather.inputs[1]);
  fused.attributes.set(from_table, true);
  return Fusion{std::move(fused), {gathered}};
}

}  // namespace

std::optional<Fusion> fuse(const Items& items, const Item& item) {
  for (const auto rule : {layer_with_bias, product_with_add, layer_with_activation,
                          product_with_relu_gradient, max_pool_with_relu_gradient, recurrence_from_table})
    if (std::optional<Fusion> found = rule(items, item)) return found;
  return {};
}

}  // namespace bpcore
