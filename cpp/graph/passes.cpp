#include "graph/passes.h"

#include "graph/chains.h"
#include "graph/fusions.h"

namespace bpcore {

Program optimize(const Graph& graph, const std::vector<NodeId>& roots) {
  const size_t count = static_cast<size_t>(graph.size());
  Items items{graph, std::vector<int>(count, 0), std::vector<int>(count, -1), {}};
  for (NodeId root : roots) ++items.users[static_cast<size_t>(root)];
  for (NodeId id = graph.size() - 1; id >= 0; --id)
    if (items.users[static_cast<size_t>(id)] > 0)
      for (NodeId input : graph.node(id).inputs) ++items.users[static_cast<size_t>(input)];

  std::vector<bool> absorbed;  // items that went into a later one
  for (NodeId id = 0; id < graph.size(); ++id) {
    const Node& node = graph.node(id);
    if (node.op == nullptr || items.users[static_cast<size_t>(id)] == 0) continue;
    Program::Item item{id, node.op, node.inputs, node.attributes};
    if (std::optional<Fusion> fusion = fuse(items, item)) {
      for (NodeId gone : fusion->absorbed)
        absorbed[static_cast<size_t>(items.place[static_cast<size_t>(gone)])] = true;
      item = std::move(fusion->item);
    }
    items.place[static_cast<size_t>(id)] = static_cast<int>(items.list.size());
    items.list.push_back(std::move(item));
    absorbed.push_back(false);
  }
  Program program;
  for (size_t i = 0; i < items.list.size(); ++i)
    if (!absorbed[i]) program.items.push_back(std::move(items.list[i]));
  fuse_chains(graph, roots, program.items);
  return program;
}

}  // namespace bpcore
