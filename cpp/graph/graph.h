// The graph: an append-only list of typed nodes. Inputs come before their users, so the order of the list is
// an order of execution.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/buffer.h"
#include "graph/attributes.h"
#include "graph/op.h"

namespace bpcore {

using NodeId = int32_t;

enum class Leaf : uint8_t {
  None,       // computed by an op
  Input,      // given with each run; `index` numbers them in order of creation
  Parameter,  // trained; `index` is its slot in the store
  State,      // not trained, updated by training plans; `index` is its slot
  Constant,   // fixed; `index` numbers the graph's constants
};

struct Node {
  const Op* op = nullptr;  // null for leaves
  Leaf leaf = Leaf::None;
  int64_t index = 0;
  std::vector<NodeId> inputs;
  Attributes attributes;
  TensorType type;
  std::string name;  // of leaves: for messages
};

class Graph {
 public:
  NodeId input(const TensorType& type, const std::string& name);
  NodeId parameter(int64_t slot, const TensorType& type, const std::string& name);
  NodeId state(int64_t slot, const TensorType& type, const std::string& name);
  NodeId constant(const TensorType& type, const void* data);  // copies type.bytes() bytes
  NodeId scalar(double value, DType dtype);

  // Infers the type and appends the node, or returns an equal one that is there already: ops are pure
  // functions of their inputs and attributes. Simplifications (graph/simplify) may answer with another node
  // of the same value.
  NodeId add(const std::string& op, std::vector<NodeId> inputs, Attributes attributes = {});

  // Another node of the same value that equals no other, known or to come: what is computed from it can be
  // told from what is computed from `id`. A view: it costs nothing.
  NodeId fresh(NodeId id);

  // Backward passes compute the nodes [begin, end) again instead of keeping their values. Regions are
  // disjoint, or one holds the other and stands for both. Throws ValueError for nodes that aren't there.
  void recompute(NodeId begin, NodeId end);
  const std::vector<std::pair<NodeId, NodeId>>& recomputed() const { return recomputed_; }

  // The same op on other inputs of the same types: a node of its own, equal to no other.
  NodeId duplicate(NodeId id, std::vector<NodeId> inputs);

  // Layers behind a gather multiply the rows that it takes, not the whole table: for optimizers that tell
  // rows with a gradient from those without. Called before the first node.
  void keep_rows() { keeps_rows_ = true; }
  bool keeps_rows() const { return keeps_rows_; }

  // `value` is written to the state after everything has been read, by training plans only. Once per state.
  void assign_state(NodeId state, NodeId value);

  const Node& node(NodeId id) const;  // throws ValueError for an id that isn't there
  const TensorType& type(NodeId id) const { return node(id).type; }
  NodeId size() const { return static_cast<NodeId>(nodes_.size()); }
  bool is(NodeId id, const char* op) const;

  Signature signature(const Node& node) const;
  int64_t inputs() const { return inputs_; }
  const std::vector<std::pair<NodeId, NodeId>>& assignments() const { return assignments_; }
  const std::shared_ptr<const Buffer>& constant_data(const Node& node) const {
    return constants_[static_cast<size_t>(node.index)];
  }
  // Whether the node is zero by construction: a constant zero, broadcast or seen in another shape.
  bool is_zero(NodeId id) const;
  // The value of a one-element float constant; false if the node isn't one.
  bool scalar_value(NodeId id, double* value) const;

 private:
  NodeId append(Node node);
  NodeId leaf(Leaf kind, int64_t index, const TensorType& type, const std::string& name);

  std::deque<Node> nodes_;  // references stay valid while the graph grows
  std::vector<std::shared_ptr<const Buffer>> constants_;
  std::vector<std::pair<NodeId, NodeId>> assignments_, recomputed_;
  std::unordered_map<std::string, NodeId> known_;
  int64_t inputs_ = 0;
  bool keeps_rows_ = false;
};

}  // namespace bpcore
