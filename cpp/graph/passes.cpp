#include "graph/passes.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "core/error.h"

namespace bpcore {

namespace {

using Item = Program::Item;

struct Chains {
  const Graph& graph;
  std::vector<int> users;  // of each live node; a root counts as a user

  // A node may disappear into its user when nobody else reads it.
  bool only_user(NodeId id) const { return users[static_cast<size_t>(id)] == 1; }
};

// A fused item, and the nodes that went into it.
struct Fusion {
  Item item;
  std::vector<NodeId> absorbed;
};

// add(matmul(x, w), b) → dense(x, w, b), for one weight matrix and a bias along its columns; likewise
// add(conv2d(x, w), b) → conv2d(x, w, b).
std::optional<Fusion> layer_with_bias(const Chains& chains, const Item& item) {
  const Graph& graph = chains.graph;
  if (std::strcmp(item.op->name(), "add") != 0) return {};
  for (size_t side : {size_t{0}, size_t{1}}) {
    const NodeId product = item.inputs[side], bias = item.inputs[1 - side];
    const bool conv = graph.is(product, "conv2d");
    if ((!conv && !graph.is(product, "matmul")) || !chains.only_user(product)) continue;
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
std::optional<Fusion> layer_with_activation(const Chains& chains, const Item& item, const Item* input) {
  const char* activation = item.op->name();
  const bool known = std::strcmp(activation, "relu") == 0 || std::strcmp(activation, "sigmoid") == 0 ||
                     std::strcmp(activation, "tanh") == 0;
  if (!known || input == nullptr || !chains.only_user(item.inputs[0])) return {};
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
template <class ItemOf>
std::optional<Fusion> product_with_add(const Chains& chains, const Item& item, ItemOf item_of) {
  const Graph& graph = chains.graph;
  if (std::strcmp(item.op->name(), "add") != 0) return {};
  const Shape& shape = graph.type(item.id).shape;
  for (size_t side : {size_t{1}, size_t{0}}) {
    const NodeId summand = item.inputs[side], other = item.inputs[1 - side];
    if (graph.type(summand).shape != shape || graph.type(other).shape != shape) continue;
    if (!chains.only_user(summand)) continue;
    std::vector<NodeId> absorbed{summand};
    NodeId product = summand;
    if (graph.is(summand, "reshape")) {
      product = graph.node(summand).inputs[0];
      absorbed.push_back(product);
      if (!chains.only_user(product)) continue;
    }
    const Item* found = item_of(product);
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

// relu_grad(matmul(a, b), y) → matmul[relu_grad](a, b, y): the gradient is zeroed while it is in registers.
// Likewise of conv2d_input_gradient.
std::optional<Fusion> product_with_relu_grad(const Chains& chains, const Item& item) {
  const Graph& graph = chains.graph;
  if (std::strcmp(item.op->name(), "relu_grad") != 0) return {};
  const NodeId product = item.inputs[0], y = item.inputs[1];
  const Shape& shape = graph.type(product).shape;
  const bool matrices = graph.is(product, "matmul") && shape.rank() == 2;
  if ((!matrices && !graph.is(product, "conv2d_input_gradient")) || !chains.only_user(product)) return {};
  if (graph.type(y).shape != shape) return {};
  const Node& node = graph.node(product);
  Attributes attributes = node.attributes;
  attributes.set("then", std::string("relu_grad"));
  return Fusion{{item.id, node.op, {node.inputs[0], node.inputs[1], y}, attributes}, {product}};
}

// relu_grad(max_pool2d_gradient(y, g), y) → max_pool2d_gradient[relu_grad](y, g): only where a window's
// largest element is positive does its gradient go on.
std::optional<Fusion> max_pool_with_relu_grad(const Chains& chains, const Item& item) {
  if (std::strcmp(item.op->name(), "relu_grad") != 0) return {};
  const NodeId pooled = item.inputs[0], y = item.inputs[1];
  if (!chains.graph.is(pooled, "max_pool2d_gradient") || !chains.only_user(pooled)) return {};
  const Node& node = chains.graph.node(pooled);
  if (node.inputs[0] != y) return {};
  Attributes attributes = node.attributes;
  attributes.set("then", std::string("relu_grad"));
  return Fusion{{item.id, node.op, node.inputs, attributes}, {pooled}};
}

// lstm(gather(table, i), ...) → lstm[from_table](table, ..., i); likewise rnn and gru.
std::optional<Fusion> recurrence_from_table(const Chains& chains, const Item& item) {
  const Graph& graph = chains.graph;
  const char* op = item.op->name();
  if (std::strcmp(op, "lstm") != 0 && std::strcmp(op, "gru") != 0 && std::strcmp(op, "rnn") != 0) return {};
  const NodeId gathered = item.inputs[0];
  if (!graph.is(gathered, "gather") || !chains.only_user(gathered)) return {};
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

// Elementwise items of one shape whose values nobody else reads go into the item that reads them. Each chain
// is grown from its end: an item joins when all its readers have.
class ChainFuser {
 public:
  ChainFuser(const Graph& graph, const std::vector<NodeId>& roots, std::vector<Item>& items)
      : graph_(graph),
        items_(items),
        place_(static_cast<size_t>(graph.size()), -1),
        users_(static_cast<size_t>(graph.size()), 0),
        absorbed_(items.size(), false) {
    for (size_t i = 0; i < items.size(); ++i) {
      place_[static_cast<size_t>(items[i].id)] = static_cast<int>(i);
      loops_.push_back(items[i].op->element_loop(signature_of(items[i]), graph.type(items[i].id)));
      for (NodeId input : items[i].inputs) ++users_[static_cast<size_t>(input)];
    }
    for (NodeId root : roots) ++users_[static_cast<size_t>(root)];
  }

  void run() {
    for (size_t i = items_.size(); i-- > 0;)
      if (!absorbed_[i] && loops_[i]) fuse_into(i);
    std::vector<Item> kept;
    for (size_t i = 0; i < items_.size(); ++i)
      if (!absorbed_[i]) kept.push_back(std::move(items_[i]));
    items_ = std::move(kept);
  }

 private:
  static constexpr size_t most_links = 32;

  Signature signature_of(const Item& item) const {
    Signature signature{{}, item.attributes};
    for (NodeId input : item.inputs) signature.inputs.push_back(graph_.type(input));
    return signature;
  }

  void fuse_into(size_t last) {
    const Shape& shape = graph_.type(items_[last].id).shape;
    std::map<size_t, int> readers;  // of candidates, by place: how many of their uses lie in the chain
    const auto offer = [&](const Item& item) {
      for (NodeId input : item.inputs) {
        const int place = place_[static_cast<size_t>(input)];
        if (place >= 0) ++readers[static_cast<size_t>(place)];
      }
    };
    std::vector<size_t> members{last};
    offer(items_[last]);
    while (!readers.empty() && members.size() < most_links) {  // from the latest candidate to the earliest
      const auto [place, uses] = *readers.rbegin();
      readers.erase(place);
      const Item& item = items_[place];
      if (absorbed_[place] || uses != users_[static_cast<size_t>(item.id)]) continue;
      if (graph_.type(item.id).shape != shape || !loops_[place]) continue;
      members.push_back(place);
      offer(item);
    }
    if (members.size() == 1) return;
    std::sort(members.begin(), members.end());
    Item chain{items_[last].id, items_[last].op, {}, {}};
    std::map<NodeId, int> link_of;
    for (size_t place : members) {
      const Item& item = items_[place];
      Link link{loops_[place], graph_.type(item.id), signature_of(item).inputs, {}};
      for (NodeId input : item.inputs) {
        if (const auto inside = link_of.find(input); inside != link_of.end()) {
          link.sources.push_back(~inside->second);
          continue;
        }
        const auto known = std::find(chain.inputs.begin(), chain.inputs.end(), input);
        link.sources.push_back(static_cast<int>(known - chain.inputs.begin()));
        if (known == chain.inputs.end()) chain.inputs.push_back(input);
      }
      chain.name += concat(chain.links.empty() ? "" : "+", item.op->name());
      link_of[item.id] = static_cast<int>(chain.links.size());
      chain.links.push_back(std::move(link));
      absorbed_[place] = place != last;
    }
    items_[last] = std::move(chain);
  }

  const Graph& graph_;
  std::vector<Item>& items_;
  std::vector<ElementLoop> loops_;  // of each item, empty for most
  std::vector<int> place_;          // of a node's item
  std::vector<int> users_;          // of each node
  std::vector<bool> absorbed_;
};

}  // namespace

Program optimize(const Graph& graph, const std::vector<NodeId>& roots) {
  const size_t count = static_cast<size_t>(graph.size());
  Chains chains{graph, std::vector<int>(count, 0)};
  for (NodeId root : roots) ++chains.users[static_cast<size_t>(root)];
  for (NodeId id = graph.size() - 1; id >= 0; --id)
    if (chains.users[static_cast<size_t>(id)] > 0)
      for (NodeId input : graph.node(id).inputs) ++chains.users[static_cast<size_t>(input)];

  Program program;
  std::vector<int> place(count, -1);     // of a node's item in the program
  std::vector<bool> absorbed;            // items that went into a later one
  const auto item_of = [&](NodeId id) {  // null for leaves
    const int at = place[static_cast<size_t>(id)];
    return at < 0 ? nullptr : &program.items[static_cast<size_t>(at)];
  };
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    if (node.op == nullptr || chains.users[static_cast<size_t>(id)] == 0) continue;
    Item item{id, node.op, node.inputs, node.attributes};
    const Item* input = node.inputs.empty() ? nullptr : item_of(node.inputs[0]);
    std::optional<Fusion> fusion = layer_with_bias(chains, item);
    if (!fusion) fusion = product_with_add(chains, item, item_of);
    if (!fusion) fusion = layer_with_activation(chains, item, input);
    if (!fusion) fusion = product_with_relu_grad(chains, item);
    if (!fusion) fusion = max_pool_with_relu_grad(chains, item);
    if (!fusion) fusion = recurrence_from_table(chains, item);
    if (fusion) {
      for (NodeId gone : fusion->absorbed)
        absorbed[static_cast<size_t>(place[static_cast<size_t>(gone)])] = true;
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
  ChainFuser(graph, roots, program.items).run();
  return program;
}

}  // namespace bpcore
