// Rules applied while a graph is built, before it is differentiated, so that forward and backward both
// profit.
#pragma once

#include "graph/graph.h"

namespace bpcore {

// A node that has the candidate's value and is cheaper or numerically safer, or -1. It may add nodes.
NodeId simplify(Graph& graph, const Node& candidate);

}  // namespace bpcore
