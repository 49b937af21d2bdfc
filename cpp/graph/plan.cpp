#include "graph/plan.h"

#include <algorithm>

#include "core/error.h"
#include "graph/passes.h"
#include "graph/planner.h"

namespace bpcore {

namespace {

// What a thread must have to do to be worth having: less gains little on an idle machine (what another core
// has just written is slow to read) and loses much on a busy one.
constexpr double nanoseconds_per_thread = 40e3;

}  // namespace

class PlanBuilder {
 public:
  PlanBuilder(const Graph& graph, Plan& plan)
      : graph_(graph),
        plan_(plan),
        location_(graph.size()),
        base_(graph.size(), -1),
        offset_(graph.size(), 0) {}

  void build(const std::vector<NodeId>& outputs, const std::vector<GradientRoot>& gradients, bool training,
             bool by_rows) {
    std::vector<NodeId> roots = outputs;
    for (const GradientRoot& root : gradients) roots.push_back(root.node);
    if (training)
      for (const auto& [state, value] : graph_.assignments()) roots.push_back(value);
    for (NodeId root : roots) graph_.node(root);  // throws for one that isn't there
    Program program = optimize(graph_, roots);

    locate_leaves();
    claim_gradients(program, gradients);
    if (by_rows) find_row_gradients(program, roots);
    measure_lifetimes(program, outputs, gradients, training);
    const Layout layout = place(lifetimes_);
    plan_.arena_bytes_ = layout.bytes;
    plan_.live_bytes_ = largest_live_sum(lifetimes_);
    for (size_t i = 0; i < owners_.size(); ++i) at(owners_[i]) = {Space::Arena, layout.offsets[i]};

    for (const Program::Item& item : program.items)
      if (!item.op->is_view()) emit(item);
    for (const GradientRoot& root : gradients)
      if (!in_place(root)) copy(root.node, {Space::Gradient, root.slot});
    for (NodeId output : outputs) {
      plan_.outputs_.push_back(of(output));
      plan_.output_types_.push_back(graph_.type(output));
    }
    plan_.commits_begin_ = plan_.instructions_.size();
    if (training)
      for (const auto& [state, value] : graph_.assignments())
        copy(value, {Space::State, graph_.node(state).index});
    find_bounds(program);
  }

 private:
  Location& at(NodeId id) { return location_[static_cast<size_t>(id)]; }

  // The node whose memory a view shows; itself for others.
  NodeId base(NodeId id) const {
    while (base_[static_cast<size_t>(id)] >= 0) id = base_[static_cast<size_t>(id)];
    return id;
  }
  Location of(NodeId id) {
    int64_t offset = 0;
    for (; base_[static_cast<size_t>(id)] >= 0; id = base_[static_cast<size_t>(id)])
      offset += offset_[static_cast<size_t>(id)];
    Location place = at(id);
    place.offset = offset;
    return place;
  }
  // Whether a view shows all of it, from its beginning.
  bool is_whole(NodeId id) const { return graph_.type(id).bytes() == graph_.type(base(id)).bytes(); }
  bool in_place(const GradientRoot& root) {
    const Location place = of(root.node);
    return place.space == Space::Gradient && place.index == root.slot;
  }

  void locate_leaves() {
    for (NodeId id = 0; id < graph_.size(); ++id) {
      const Node& node = graph_.node(id);
      switch (node.leaf) {
        case Leaf::None:
          break;
        case Leaf::Input:
          at(id) = {Space::Input, node.index};
          plan_.inputs_.push_back(node.type);
          break;
        case Leaf::Parameter:
          at(id) = {Space::Parameter, node.index};
          plan_.parameters_.emplace_back(node.index, node.type);
          break;
        case Leaf::State:
          at(id) = {Space::State, node.index};
          plan_.states_.emplace_back(node.index, node.type);
          break;
        case Leaf::Constant:
          at(id) = {Space::Constant, static_cast<int64_t>(plan_.constants_.size())};
          plan_.constants_.push_back(graph_.constant_data(node));
          break;
      }
    }
  }

  // A gradient that is computed once and for one slot is computed in its slot.
  void claim_gradients(const Program& program, const std::vector<GradientRoot>& gradients) {
    std::vector<bool> computed(static_cast<size_t>(graph_.size()), false);
    for (const Program::Item& item : program.items) {
      computed[static_cast<size_t>(item.id)] = true;
      if (!item.op->is_view()) continue;
      base_[static_cast<size_t>(item.id)] = item.inputs[0];
      offset_[static_cast<size_t>(item.id)] = item.op->view_offset(signature_of(item));
    }
    std::vector<int64_t> slots;
    for (const GradientRoot& root : gradients) {
      if (std::find(slots.begin(), slots.end(), root.slot) != slots.end())
        throw ValueError(concat("plan: two gradients for parameter ", root.slot));
      slots.push_back(root.slot);
      plan_.gradients_.emplace_back(root.slot, graph_.type(root.node));
      const NodeId owner = base(root.node);
      if (computed[static_cast<size_t>(owner)] && at(owner).space != Space::Gradient && is_whole(root.node))
        at(owner) = {Space::Gradient, root.slot};
    }
  }

  // Gradients that an op writes row by row where the optimizer reads them, of parameters that nothing reads
  // but by the same rows.
  void find_row_gradients(Program& program, const std::vector<NodeId>& roots) {
    for (Program::Item& item : program.items) {
      if (!item.links.empty() || item.op->is_view() || at(item.id).space != Space::Gradient) continue;
      const ListedRows rows = item.op->rows_written(signature_of(item));
      if (rows.indices < 0) continue;
      const auto input_of = [&](int number) -> int64_t {
        if (number < 0) return -1;
        const NodeId id = item.inputs[static_cast<size_t>(number)];
        const Node& source = graph_.node(base(id));
        return source.leaf == Leaf::Input && is_whole(id) ? source.index : -1;
      };
      const RowGradient found{at(item.id).index, input_of(rows.indices), input_of(rows.ends)};
      if (found.indices < 0 || (rows.ends >= 0 && found.ends < 0)) continue;
      const NodeId list = base(item.inputs[static_cast<size_t>(rows.indices)]);
      if (!read_by_rows(program, roots, found.slot, list)) continue;
      item.attributes.set(over_zeros, true);
      plan_.row_gradients_.push_back(found);
    }
  }

  // Whether all that reads the parameter reads the rows of `list`.
  bool read_by_rows(const Program& program, const std::vector<NodeId>& roots, int64_t slot,
                    NodeId list) const {
    const auto is_it = [&](NodeId id) {
      const Node& node = graph_.node(id);
      return node.leaf == Leaf::Parameter && node.index == slot;
    };
    if (std::any_of(roots.begin(), roots.end(), is_it)) return false;
    for (const Program::Item& item : program.items)
      for (size_t number = 0; number < item.inputs.size(); ++number) {
        if (!is_it(item.inputs[number])) continue;
        if (!item.links.empty()) return false;
        const ListedRows rows = item.op->rows_read(signature_of(item), static_cast<int>(number));
        if (rows.indices < 0 || base(item.inputs[static_cast<size_t>(rows.indices)]) != list) return false;
      }
    return true;
  }

  void measure_lifetimes(const Program& program, const std::vector<NodeId>& outputs,
                         const std::vector<GradientRoot>& gradients, bool training) {
    std::vector<int> lifetime_of(static_cast<size_t>(graph_.size()), -1);
    const auto use = [&](NodeId id, int step) {
      const int found = lifetime_of[static_cast<size_t>(base(id))];
      if (found >= 0) lifetimes_[static_cast<size_t>(found)].last = step;
    };
    int step = 0;
    for (const Program::Item& item : program.items) {
      for (NodeId input : item.inputs) use(input, step);
      if (!item.op->is_view() && at(item.id).space == Space::Arena) {
        lifetime_of[static_cast<size_t>(item.id)] = static_cast<int>(lifetimes_.size());
        lifetimes_.push_back({graph_.type(item.id).bytes(), step, step});
        owners_.push_back(item.id);
      }
      ++step;
    }
    // What is copied or read at the end lives to the end.
    for (NodeId output : outputs) use(output, step);
    for (const GradientRoot& root : gradients) use(root.node, step);
    if (training)
      for (const auto& [state, value] : graph_.assignments()) use(value, step);
  }

  Signature signature_of(const Program::Item& item) const {
    Signature signature{{}, item.attributes};
    for (NodeId input : item.inputs) signature.inputs.push_back(graph_.type(input));
    return signature;
  }

  void emit(const Program::Item& item) {
    const Signature signature = signature_of(item);
    std::vector<Location> operands{at(item.id)};
    for (NodeId input : item.inputs) operands.push_back(of(input));
    const TensorType& type = graph_.type(item.id);
    if (!item.links.empty())
      return add(compile_chain(item.links), std::move(operands), concat(item.name, ' ', type.shape));
    std::string fused;
    for (const char* name : {"then", "activation"})
      if (const std::string text = item.attributes.text(name, ""); !text.empty())
        fused += (fused.empty() ? "" : ", ") + text;
    add(item.op->compile(signature, type), std::move(operands),
        concat(item.op->name(), fused.empty() ? "" : "[" + fused + "]", ' ', type.shape));
  }

  void copy(NodeId from, Location to) {
    const TensorType& type = graph_.type(from);
    const Attributes none;
    add(find_op("copy").compile({{type}, none}, type), {to, of(from)}, concat("copy ", type.shape));
  }

  void add(Routine routine, std::vector<Location> operands, std::string text) {
    plan_.scratch_bytes_ = std::max(plan_.scratch_bytes_, round_up(routine.scratch_bytes, alignment));
    (routine.tasks > 1 ? plan_.parallel_cost_ : plan_.serial_cost_) += routine.cost;
    plan_.instructions_.push_back({std::move(routine), std::move(operands), std::move(text)});
  }

  void find_bounds(const Program& program) {
    for (const Program::Item& item : program.items) {
      if (!item.links.empty()) continue;  // no elementwise op takes indices
      const Signature signature = signature_of(item);
      for (int number = 0; number < signature.count(); ++number) {
        const int64_t bound = item.op->index_bound(signature, number);
        const NodeId indices = item.inputs[static_cast<size_t>(number)];
        const Node& source = graph_.node(base(indices));
        if (bound < 0 || source.leaf != Leaf::Input || !is_whole(indices)) continue;
        const auto same = [&](const IndexBound& known) {
          return known.input == source.index && known.bound == bound;
        };
        if (std::none_of(plan_.index_bounds_.begin(), plan_.index_bounds_.end(), same))
          plan_.index_bounds_.push_back({source.index, bound, item.op->name()});
      }
    }
  }

  const Graph& graph_;
  Plan& plan_;
  std::vector<Location> location_;
  std::vector<NodeId> base_;     // of views: what they show
  std::vector<int64_t> offset_;  // ... from which byte on
  std::vector<Lifetime> lifetimes_;
  std::vector<NodeId> owners_;  // of the lifetimes
};

Plan::Plan(const Graph& graph, const std::vector<NodeId>& outputs, const std::vector<GradientRoot>& gradients,
           bool training, bool by_rows) {
  PlanBuilder(graph, *this).build(outputs, gradients, training, by_rows);
}

int Plan::threads(int available, double beside) const {
  // With t threads the parallel part shrinks by (1 - 1/t); take the most threads for which each share is
  // worth it.
  const double parallel = parallel_cost_ + beside;
  if (parallel < serial_cost_) return 1;
  return static_cast<int>(
      std::clamp(parallel / nanoseconds_per_thread, 1.0, static_cast<double>(std::max(available, 1))));
}

}  // namespace bpcore
