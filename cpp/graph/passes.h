// What happens to a differentiated graph before it is planned: nodes that nothing asks for go, chains fuse.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"

namespace bpcore {

// What remains: live nodes in order of execution, with fused ops in place of chains. Node ids are those of
// the graph; a fused node stands at the place of its chain's last node.
struct Program {
  struct Item {
    NodeId id;  // whose value this is
    const Op* op;
    std::vector<NodeId> inputs;
    Attributes attributes;
    std::vector<Link> links = {};  // of a chain of elementwise ops, which stands in for `op`
    std::string name = {};         // of a chain
  };
  std::vector<Item> items;
};

Program optimize(const Graph& graph, const std::vector<NodeId>& roots);

}  // namespace bpcore
