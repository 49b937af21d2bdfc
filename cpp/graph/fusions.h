// Ops that become one: patterns of two or three nodes of which only the last one's value is needed.
#pragma once

#include <optional>
#include <vector>

#include "graph/passes.h"

namespace bpcore {

// The items of a program that is being made.
struct Items {
  const Graph& graph;
  std::vector<int> users;  // of each live node; a root counts as a user
  std::vector<int> place;  // of a node's item; -1: it has none (yet)
  std::vector<Program::Item> list;

  // A node may disappear into its user when nobody else reads it.
  bool only_user(NodeId id) const { return users[static_cast<size_t>(id)] == 1; }
  // Null for leaves.
  const Program::Item* of(NodeId id) const {
    const int at = place[static_cast<size_t>(id)];
    return at < 0 ? nullptr : &list[static_cast<size_t>(at)];
  }
};

// A fused item, and the nodes that went into it.
struct Fusion {
  Program::Item item;
  std::vector<NodeId> absorbed;
};

// What `item`, of which all inputs are among the items, becomes with some that nobody else reads.
std::optional<Fusion> fuse(const Items& items, const Program::Item& item);

}  // namespace bpcore
