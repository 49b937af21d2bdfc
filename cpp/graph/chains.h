// Elementwise ops that follow each other become one pass over blocks.
#pragma once

#include <vector>

#include "graph/passes.h"

namespace bpcore {

// Elementwise items of one shape whose values nobody else reads go into the item that reads them.
void fuse_chains(const Graph& graph, const std::vector<NodeId>& roots, std::vector<Program::Item>& items);

}  // namespace bpcore
