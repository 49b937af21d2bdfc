#include "graph/autodiff.h"

#include <algorithm>
#include <unordered_map>

#include "core/error.h"

namespace bpcore {

namespace {

// Sums a gradient over the axes along which its input of shape `target` was broadcast.
Value unbroadcast(Value gradient, const Shape& target) {
  const Shape& shape = gradient.shape();
  if (shape == target) return gradient;
  const int extra = shape.rank() - target.rank();
  std::vector<int64_t> axes;
  for (int axis = 0; axis < shape.rank(); ++axis)
    if (axis < extra || (target[axis - extra] == 1 && shape[axis] != 1)) axes.push_back(axis);
  return reshape(sum(gradient, axes), target);
}

// The nodes that derivative rules read: those of the forward pass, but in regions to be recomputed second
// ones, which are added to the graph when the sweep first comes there. So they run after the backward pass of
// all that follows them, and the first ones' values need not be kept.
class ForwardNodes {
 public:
  explicit ForwardNodes(Graph& graph) : graph_(graph), regions_(graph.recomputed()) {}

  NodeId of(NodeId id) {
    for (const auto& [begin, end] : regions_)
      if (begin <= id && id < end) {
        if (second_.find(id) == second_.end()) repeat(begin, end);
        return second_.at(id);
      }
    return id;
  }

 private:
  void repeat(NodeId begin, NodeId end) {
    for (NodeId id = begin; id < end; ++id) {
      if (graph_.node(id).op == nullptr) {
        second_[id] = id;
        continue;
      }
      std::vector<NodeId> inputs = graph_.node(id).inputs;
      for (NodeId& input : inputs) input = input >= begin ? second_.at(input) : input;
      second_[id] = graph_.duplicate(id, std::move(inputs));
    }
  }

  Graph& graph_;
  const std::vector<std::pair<NodeId, NodeId>> regions_;  // a copy: rules add nodes meanwhile
  std::unordered_map<NodeId, NodeId> second_;
};

}  // namespace

Vjp::Vjp(Graph& graph, NodeId node, NodeId seed, std::vector<bool> needed)
    : graph_(graph),
      node_(node),
      seed_(graph, seed),
      needed_(std::move(needed)),
      gradients_(needed_.size(), -1) {}

Value Op::decompose(const std::vector<Value>&, const Attributes&) const {
  throw StateError(concat(name(), ": has no derivative"));
}

void Op::vjp(Vjp& node) const {
  std::vector<Value> inputs;
  std::vector<NodeId> wrt;
  for (int number = 0; number < node.count(); ++number) {
    // A fresh node for each input: when one value is passed twice, each place gets its own share, and no
    // other use of the value counts.
    inputs.emplace_back(node.graph(), node.graph().fresh(node.input(number).id()));
    if (node.needs(number)) wrt.push_back(inputs.back().id());
  }
  const Value output = decompose(inputs, node.attributes());
  const std::vector<NodeId> found = gradients(node.graph(), output.id(), wrt, node.seed().id());
  size_t next = 0;
  for (int number = 0; number < node.count(); ++number)
    if (node.needs(number)) node.set(number, {node.graph(), found[next++]});
}

std::vector<NodeId> gradients(Graph& graph, NodeId output, const std::vector<NodeId>& wrt, NodeId seed) {
  const TensorType& type = graph.type(output);
  if (!is_float(type.dtype))
    throw TypeError(concat("gradients: the output must be float32 or float64, not ", name_of(type.dtype)));
  if (seed < 0) {
    if (type.shape.elements() != 1)
      throw ValueError(concat("gradients: the output must be a scalar, it has shape ", type.shape));
    seed = broadcast_to({graph, graph.scalar(1, type.dtype)}, type.shape).id();
  } else if (!(graph.type(seed) == type)) {
    throw ValueError(
        concat("gradients: the seed has shape ", graph.type(seed).shape, ", the output ", type.shape));
  }

  // Which nodes up to `output` depend on something asked for: only through these does anything flow.
  std::vector<bool> depends(static_cast<size_t>(output) + 1, false);
  for (NodeId id : wrt) {
    graph.node(id);
    if (id <= output) depends[static_cast<size_t>(id)] = true;
  }
  for (NodeId id = 0; id <= output; ++id)
    for (NodeId input : graph.node(id).inputs)
      if (depends[static_cast<size_t>(input)]) depends[static_cast<size_t>(id)] = true;

  std::vector<NodeId> gradient(static_cast<size_t>(output) + 1, -1);
  gradient[static_cast<size_t>(output)] = seed;
  ForwardNodes forward(graph);
  for (NodeId id = output; id >= 0; --id) {
    const Node& node = graph.node(id);
    const NodeId own = gradient[static_cast<size_t>(id)];
    if (node.op == nullptr || own < 0 || !depends[static_cast<size_t>(id)]) continue;
    std::vector<bool> needed;
    for (NodeId input : node.inputs)
      needed.push_back(depends[static_cast<size_t>(input)] && is_float(graph.type(input).dtype));
    if (std::none_of(needed.begin(), needed.end(), [](bool need) { return need; })) continue;

    Vjp rule(graph, forward.of(id), own, needed);
    node.op->vjp(rule);
    for (int number = 0; number < rule.count(); ++number) {
      if (rule.gradient(number) < 0 || !rule.needs(number)) continue;
      const NodeId input = node.inputs[static_cast<size_t>(number)];
      const Value part = unbroadcast({graph, rule.gradient(number)}, graph.type(input).shape);
      NodeId& total = gradient[static_cast<size_t>(input)];
      total = total < 0 ? part.id() : (Value(graph, total) + part).id();
    }
  }

  std::vector<NodeId> result;
  for (NodeId id : wrt) {
    const NodeId found = id <= output ? gradient[static_cast<size_t>(id)] : -1;
    result.push_back(found >= 0 ? found : zeros(graph, graph.type(id)).id());
  }
  return result;
}

}  // namespace bpcore
