#include "graph/passes.h"

#include <cstring>
#include <optional>

namespace bpcore {

namespace {

using Item = Program::Item;

struct Chains {
  const Graph& graph;
  std::vector<int> users;  // of each live node; a root counts as a user

  // A node may disappear into its user when nobody else reads it.
  bool only_user(NodeId id) const { return users[static_cast<size_t>(id)] == 1; }
};

// A fused item, and the node that went into it.
struct Fusion {
  Item item;
  NodeId absorbed;
};

// add(matmul(x, w), b) → dense(x, w, b), for one weight matrix and a bias along its columns.
std::optional<Fusion> dense_with_bias(const Chains& chains, const Item& item) {
  const Graph& graph = chains.graph;
  if (std::strcmp(item.op->name(), "add") != 0) return {};
  for (size_t side : {size_t{0}, size_t{1}}) {
    const NodeId product = item.inputs[side], bias = item.inputs[1 - side];
    if (!graph.is(product, "matmul") || !chains.only_user(product)) continue;
    const Node& matmul = graph.node(product);
    const Shape &weight = graph.type(matmul.inputs[1]).shape, &shape = graph.type(bias).shape;
    if (matmul.attributes.flag("transpose_a") || matmul.attributes.flag("transpose_b")) continue;
    if (weight.rank() != 2 || shape.rank() != 1 || shape[0] != weight[1]) continue;
    return Fusion{{item.id, &find_op("dense"), {matmul.inputs[0], matmul.inputs[1], bias}, {}}, product};
  }
  return {};
}

// relu(dense(x, w, b)) → dense[relu](x, w, b); sigmoid and tanh likewise. Their derivatives read the
// activation's output only, so the value before it is not needed again.
std::optional<Fusion> dense_with_activation(const Chains& chains, const Item& item, const Item* input) {
  const char* activation = item.op->name();
  const bool known = std::strcmp(activation, "relu") == 0 || std::strcmp(activation, "sigmoid") == 0 ||
                     std::strcmp(activation, "tanh") == 0;
  if (!known || input == nullptr || !chains.only_user(item.inputs[0])) return {};
  if (std::strcmp(input->op->name(), "dense") != 0 || !input->attributes.text("activation", "").empty())
    return {};
  return Fusion{{item.id, input->op, input->inputs, {{"activation", std::string(activation)}}},
                item.inputs[0]};
}

// relu_grad(matmul(a, b), y) → matmul[relu_grad](a, b, y): the gradient is zeroed while it is in registers.
std::optional<Fusion> product_with_relu_grad(const Chains& chains, const Item& item) {
  const Graph& graph = chains.graph;
  if (std::strcmp(item.op->name(), "relu_grad") != 0) return {};
  const NodeId product = item.inputs[0], y = item.inputs[1];
  if (!graph.is(product, "matmul") || !chains.only_user(product)) return {};
  const Shape& shape = graph.type(product).shape;
  if (shape.rank() != 2 || graph.type(y).shape != shape) return {};
  const Node& matmul = graph.node(product);
  Attributes attributes = matmul.attributes;
  attributes.set("then", std::string("relu_grad"));
  return Fusion{{item.id, matmul.op, {matmul.inputs[0], matmul.inputs[1], y}, attributes}, product};
}

}  // namespace

Program optimize(const Graph& graph, const std::vector<NodeId>& roots) {
  const size_t count = static_cast<size_t>(graph.size());
  Chains chains{graph, std::vector<int>(count, 0)};
  for (NodeId root : roots) ++chains.users[static_cast<size_t>(root)];
  for (NodeId id = graph.size() - 1; id >= 0; --id)
    if (chains.users[static_cast<size_t>(id)] > 0)
      for (NodeId input : graph.node(id).inputs) ++chains.users[static_cast<size_t>(input)];

  Program program;
  std::vector<int> place(count, -1);  // of a node's item in the program
  std::vector<bool> absorbed;         // items that went into a later one
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    if (node.op == nullptr || chains.users[static_cast<size_t>(id)] == 0) continue;
    Item item{id, node.op, node.inputs, node.attributes};
    const int before = node.inputs.empty() ? -1 : place[static_cast<size_t>(node.inputs[0])];
    const Item* input = before < 0 ? nullptr : &program.items[static_cast<size_t>(before)];
    std::optional<Fusion> fusion = dense_with_bias(chains, item);
    if (!fusion) fusion = dense_with_activation(chains, item, input);
    if (!fusion) fusion = product_with_relu_grad(chains, item);
    if (fusion) {
      absorbed[static_cast<size_t>(place[static_cast<size_t>(fusion->absorbed)])] = true;
      item = std::move(fusion->item);
    }
    place[static_cast<size_t>(id)] = static_cast<int>(program.items.size());
    program.items.push_back(std::move(item));
    absorbed.push_back(false);
  }
  std::vector<Item> kept;
  for (size_t i = 0; i < program.items.size(); ++i)
    if (!absorbed[i]) kept.push_back(std::move(program.items[i]));
  program.items = std::move(kept);
  return program;
}

}  // namespace bpcore
