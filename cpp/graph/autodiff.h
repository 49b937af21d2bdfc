// The reverse sweep. It alone adds gradients up and sums them over broadcast axes; a derivative rule knows
// neither.
#pragma once

#include <vector>

#include "graph/graph.h"
#include "graph/value.h"

namespace bpcore {

// One node during the sweep: what its op's rule reads and where it puts the gradients of its inputs.
class Vjp {
 public:
  Vjp(Graph& graph, NodeId node, NodeId seed, std::vector<bool> needed);

  Graph& graph() const { return graph_; }
  const Attributes& attributes() const { return graph_.node(node_).attributes; }
  int count() const { return static_cast<int>(needed_.size()); }
  Value input(int number) const { return {graph_, graph_.node(node_).inputs[static_cast<size_t>(number)]}; }
  Value output() const { return {graph_, node_}; }
  Value seed() const { return seed_; }  // gradient with respect to the output, of the output's shape

  bool needs(int number) const { return needed_[static_cast<size_t>(number)]; }
  // The gradient may have the output's shape where the input was broadcast. An input that is never set gets
  // zero.
  void set(int number, Value gradient) { gradients_[static_cast<size_t>(number)] = gradient.id(); }
  NodeId gradient(int number) const { return gradients_[static_cast<size_t>(number)]; }  // -1: not set

 private:
  Graph& graph_;
  NodeId node_;
  Value seed_;
  std::vector<bool> needed_;
  std::vector<NodeId> gradients_;
};

// Adds the nodes of d output / d wrt[i] and returns them, each of its wrt's shape; zeros where output doesn't
// depend on it. `seed` is the gradient with respect to the output (-1: one, for a scalar output).
std::vector<NodeId> gradients(Graph& graph, NodeId output, const std::vector<NodeId>& wrt, NodeId seed = -1);

}  // namespace bpcore
