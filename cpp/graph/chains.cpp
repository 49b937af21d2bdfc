#include "graph/chains.h"

#include <algorithm>
#include <map>

#include "core/error.h"

namespace bpcore {

namespace {

using Item = Program::Item;

// Each chain is grown from its end: an item joins when all its readers have.
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

void fuse_chains(const Graph& graph, const std::vector<NodeId>& roots, std::vector<Item>& items) {
  ChainFuser(graph, roots, items).run();
}

}  // namespace bpcore
