#include "graph/graph.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "graph/simplify.h"

namespace bpcore {

NodeId Graph::append(Node node) {
  nodes_.push_back(std::move(node));
  return size() - 1;
}

NodeId Graph::leaf(Leaf kind, int64_t index, const TensorType& type, const std::string& name) {
  type.shape.elements();  // throws where it is too large
  return append(Node{nullptr, kind, index, {}, {}, type, name});
}

NodeId Graph::input(const TensorType& type, const std::string& name) {
  const NodeId id = leaf(Leaf::Input, inputs_, type, name);
  ++inputs_;
  return id;
}

NodeId Graph::parameter(int64_t slot, const TensorType& type, const std::string& name) {
  if (!is_float(type.dtype))
    throw TypeError(concat("parameter ", name, ": dtype must be float32 or float64"));
  return leaf(Leaf::Parameter, slot, type, name);
}

NodeId Graph::state(int64_t slot, const TensorType& type, const std::string& name) {
  if (!is_float(type.dtype)) throw TypeError(concat("state ", name, ": dtype must be float32 or float64"));
  return leaf(Leaf::State, slot, type, name);
}

NodeId Graph::constant(const TensorType& type, const void* data) {
  const size_t bytes = static_cast<size_t>(type.bytes());
  // Scalars recur in derivatives; larger constants are not worth comparing.
  std::string key;
  if (type.shape.rank() == 0) {
    key = concat("scalar ", name_of(type.dtype), ' ');
    key.append(static_cast<const char*>(data), bytes);
    if (const auto found = known_.find(key); found != known_.end()) return found->second;
  }
  auto copy = std::make_shared<Buffer>(bytes);
  if (bytes > 0) std::memcpy(copy->data(), data, bytes);
  constants_.push_back(std::move(copy));
  const NodeId id = leaf(Leaf::Constant, static_cast<int64_t>(constants_.size()) - 1, type, "constant");
  if (!key.empty()) known_.emplace(std::move(key), id);
  return id;
}

NodeId Graph::scalar(double value, DType dtype) {
  return with_any(dtype, [&](auto tag) {
    const auto typed = static_cast<typename decltype(tag)::type>(value);
    return constant({dtype, Shape{}}, &typed);
  });
}

NodeId Graph::add(const std::string& op_name, std::vector<NodeId> inputs, Attributes attributes) {
  const Op& op = find_op(op_name);
  Node candidate{&op, Leaf::None, 0, std::move(inputs), std::move(attributes), {}, {}};
  candidate.type = op.infer(signature(candidate));
  candidate.type.shape.elements();  // throws where it is too large
  if (const NodeId simpler = simplify(*this, candidate); simpler >= 0) return simpler;

  std::string key = op_name + '(';
  for (NodeId input : candidate.inputs) key += std::to_string(input) + ',';
  key += ')' + candidate.attributes.key();
  const auto [entry, is_new] = known_.emplace(std::move(key), size());
  return is_new ? append(std::move(candidate)) : entry->second;
}

NodeId Graph::fresh(NodeId id) {
  return append(Node{&find_op("identity"), Leaf::None, 0, {id}, {}, type(id), {}});
}

NodeId Graph::duplicate(NodeId id, std::vector<NodeId> inputs) {
  Node copy = node(id);
  copy.inputs = std::move(inputs);
  return append(std::move(copy));
}

void Graph::recompute(NodeId begin, NodeId end) {
  if (begin < 0 || end < begin || end > size())
    throw ValueError(concat("recompute: there are no nodes ", begin, " to ", end, " in a graph of ", size()));
  const auto inside = [&](const std::pair<NodeId, NodeId>& known) {
    return begin <= known.first && known.second <= end;
  };
  recomputed_.erase(std::remove_if(recomputed_.begin(), recomputed_.end(), inside), recomputed_.end());
  for (const auto& [first, last] : recomputed_)
    if (begin < last && first < end)
      throw ValueError(
          concat("recompute: nodes ", begin, " to ", end, " overlap nodes ", first, " to ", last));
  if (begin < end) recomputed_.emplace_back(begin, end);
}

void Graph::assign_state(NodeId state, NodeId value) {
  if (node(state).leaf != Leaf::State) throw ValueError("assign_state: the first node is not a state");
  if (!(type(state) == type(value)))
    throw ValueError(concat("assign_state: ", node(state).name, " has shape ", type(state).shape,
                            " and dtype ", name_of(type(state).dtype), ", the value ", type(value).shape,
                            " and ", name_of(type(value).dtype)));
  for (const auto& [assigned, unused] : assignments_)
    if (assigned == state) throw ValueError(concat("assign_state: ", node(state).name, " is updated twice"));
  // A value that shows a state's own memory is copied first: states are written one after the other.
  NodeId source = value;
  while (node(source).op != nullptr && node(source).op->is_view()) source = node(source).inputs[0];
  if (node(source).leaf == Leaf::State) value = add("copy", {value});
  assignments_.emplace_back(state, value);
}

const Node& Graph::node(NodeId id) const {
  if (id < 0 || id >= size()) throw ValueError(concat("graph: there is no node ", id));
  return nodes_[static_cast<size_t>(id)];
}

bool Graph::is(NodeId id, const char* op) const {
  const Node& candidate = node(id);
  return candidate.op != nullptr && std::strcmp(candidate.op->name(), op) == 0;
}

Signature Graph::signature(const Node& node) const {
  Signature result{{}, node.attributes};
  for (NodeId input : node.inputs) result.inputs.push_back(type(input));
  return result;
}

bool Graph::is_zero(NodeId id) const {
  while (is(id, "broadcast_to") || is(id, "reshape")) id = node(id).inputs[0];
  double value = 0;
  return scalar_value(id, &value) && value == 0;
}

bool Graph::scalar_value(NodeId id, double* value) const {
  const Node& candidate = node(id);
  if (candidate.leaf != Leaf::Constant || candidate.type.shape.elements() != 1 ||
      !is_float(candidate.type.dtype))
    return false;
  *value = with_float(candidate.type.dtype, [&](auto tag) {
    return static_cast<double>(*constant_data(candidate)->as<typename decltype(tag)::type>());
  });
  return true;
}

}  // namespace bpcore
