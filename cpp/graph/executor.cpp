#include "graph/executor.h"

#include <cstring>

#include "core/error.h"

namespace bpcore {

namespace {

void check_slots(const char* what, const FlatLayout& layout,
                 const std::vector<std::pair<int64_t, TensorType>>& used) {
  for (const auto& [number, type] : used) {
    const Slot& slot = layout.slot(number);
    if (slot.shape != type.shape || layout.dtype() != type.dtype)
      throw ValueError(concat("plan: ", what, ' ', slot.name, " has shape ", slot.shape, " and dtype ",
                              name_of(layout.dtype()), " in the store, the plan was made for ", type.shape,
                              " and ", name_of(type.dtype)));
  }
}

}  // namespace

void check_store(const Plan& plan, const Store& store) {
  check_slots("parameter", store.parameter_layout, plan.parameters());
  check_slots("gradient of", store.parameter_layout, plan.gradients());
  check_slots("state", store.state_layout, plan.states());
}

Workspace::Workspace(const Plan& plan, int threads)
    : plan_(plan),
      threads_(threads),
      arena_(static_cast<size_t>(plan.arena_bytes()), Buffer::Fill::Nothing),
      scratch_(static_cast<size_t>(plan.scratch_bytes() * threads), Buffer::Fill::Nothing) {
  size_t count = 0;
  for (const Instruction& instruction : plan.instructions()) {
    first_.push_back(count);
    work_.push_back(&instruction.routine.for_team(threads));
    for (size_t i = 0; i < instruction.operands.size(); ++i) {
      const Location& location = instruction.operands[i];
      if (location.space == Space::Input) input_uses_.push_back({location.index, location.offset, count + i});
    }
    count += instruction.operands.size();
  }
  operands_.resize(count);
  outputs_.resize(plan.outputs().size());
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const Location& location = plan.outputs()[i];
    if (location.space == Space::Input) input_outputs_.push_back({location.index, location.offset, i});
  }
}

void* Workspace::resolve(const Location& location, const Bases& bases) const {
  const size_t index = static_cast<size_t>(location.index);
  switch (location.space) {
    case Space::Arena:
      return arena_.data() + location.index + location.offset;
    case Space::Constant:
      return plan_.constants()[index]->data() + location.offset;
    case Space::Parameter:
      return bases.parameters[index] + location.offset;
    case Space::Gradient:
      return bases.gradients[index] + location.offset;
    case Space::State:
      return bases.states[index] + location.offset;
    case Space::Input:  // bound later if there is none yet; operands are read-only after the output
      return bases.inputs[index] == nullptr ? nullptr
                                            : const_cast<char*>(bases.inputs[index]) + location.offset;
  }
  return nullptr;
}

void Workspace::bind(const Bases& bases) {
  size_t next = 0;
  for (const Instruction& instruction : plan_.instructions())
    for (const Location& location : instruction.operands) operands_[next++] = resolve(location, bases);
  for (size_t i = 0; i < outputs_.size(); ++i) outputs_[i] = resolve(plan_.outputs()[i], bases);
}

void Workspace::bind_input(int64_t number, const char* data) {
  for (const InputUse& use : input_uses_)
    if (use.number == number) operands_[use.operand] = const_cast<char*>(data) + use.offset;
  for (const InputUse& use : input_outputs_)
    if (use.number == number) outputs_[use.operand] = const_cast<char*>(data) + use.offset;
}

void Workspace::run(Team& team, Status& status, const RunKey& key) const {
  run_instructions(0, plan_.commits_begin(), team, status, key);
}

void Workspace::commit(Team& team, Status& status) const {
  run_instructions(plan_.commits_begin(), plan_.instructions().size(), team, status, {});  // copies only
}

void Workspace::run_instructions(size_t begin, size_t end, Team& team, Status& status,
                                 const RunKey& key) const {
  for (size_t i = begin; i < end; ++i) {
    const Work& work = *work_[i];
    team.run(work.tasks, [&, i](int64_t task, int rank) {
      work.run({operands_.data() + first_[i], scratch_.data() + plan_.scratch_bytes() * rank, &status, key},
               task);
    });
  }
}

namespace {

// The bases of a plan without gradients.
Bases bases_of(const Plan& plan, Store* store, const std::vector<const char*>& inputs) {
  if (!plan.gradients().empty()) throw StateError("plan: a plan with gradients is run by a session");
  Bases bases;
  if (store != nullptr) {
    check_store(plan, *store);
    bases.parameters = addresses(store->parameter_layout, store->parameters);
    bases.states = addresses(store->state_layout, store->states);
  } else if (!plan.parameters().empty() || !plan.states().empty()) {
    throw StateError("plan: it has parameters and needs a store");
  }
  bases.inputs = inputs;
  return bases;
}

}  // namespace

void evaluate(const Plan& plan, Store* store, const std::vector<const char*>& inputs, int threads,
              const RunKey& key, const std::vector<void*>& outputs) {
  const Bases bases = bases_of(plan, store, inputs);
  Workspace workspace(plan, plan.threads(threads));
  workspace.bind(bases);
  Status status;
  auto program = [&](Team& team) { workspace.run(team, status, key); };
  run_team(workspace.threads(), program);
  if (!status.ok()) throw ValueError(status.message());
  for (size_t i = 0; i < outputs.size(); ++i)
    if (const int64_t bytes = plan.output_types()[i].bytes(); bytes > 0)
      std::memcpy(outputs[i], workspace.output(i), static_cast<size_t>(bytes));
  Team alone;
  workspace.commit(alone, status);
}

Evaluator::Evaluator(std::shared_ptr<const Plan> plan, std::shared_ptr<Store> store)
    : plan_(std::move(plan)), store_(std::move(store)), workspace_(*plan_, 1) {
  if (plan_->commits_begin() != plan_->instructions().size())
    throw ValueError("evaluator: the plan writes states");
  workspace_.bind(bases_of(*plan_, store_.get(), std::vector<const char*>(plan_->inputs().size())));
}

bool Evaluator::run(const char* const* inputs, char* const* outputs) {
  if (busy_.test_and_set(std::memory_order_acquire)) return false;
  for (size_t i = 0; i < plan_->inputs().size(); ++i)
    workspace_.bind_input(static_cast<int64_t>(i), inputs[i]);
  Team alone;
  Status status;
  workspace_.run(alone, status, {});
  const bool good = status.ok();
  for (size_t i = 0; good && i < plan_->outputs().size(); ++i)
    if (const int64_t bytes = plan_->output_types()[i].bytes(); bytes > 0)
      std::memcpy(outputs[i], workspace_.output(i), static_cast<size_t>(bytes));
  busy_.clear(std::memory_order_release);
  return good;
}

}  // namespace bpcore
