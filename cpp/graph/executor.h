// Runs plans. A workspace is one caller's memory for one plan; the plan itself is shared.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "core/buffer.h"
#include "core/parallel.h"
#include "graph/plan.h"
#include "graph/store.h"

namespace bpcore {

// Where the spaces of a plan begin, for one run.
struct Bases {
  std::vector<char*> parameters, gradients, states;  // by slot
  std::vector<const char*> inputs;                   // by number
};

class Workspace {
 public:
  Workspace(const Plan& plan, int threads);

  // Resolves every operand; after that only inputs may change. Both allocate nothing after the first time.
  void bind(const Bases& bases);
  void bind_input(int64_t number, const char* data);

  // One evaluation, by a team of at most `threads`, with the random numbers of `key`.
  void run(Team& team, Status& status, const RunKey& key) const;
  // Writes the states that a training plan assigns. After a run, and only if the run was good.
  void commit(Team& team, Status& status) const;

  const char* output(size_t number) const { return static_cast<const char*>(outputs_[number]); }
  int threads() const { return threads_; }

 private:
  void run_instructions(size_t begin, size_t end, Team& team, Status& status, const RunKey& key) const;
  void* resolve(const Location& location, const Bases& bases) const;

  struct InputUse {
    int64_t number;
    int64_t offset;
    size_t operand;
  };

  const Plan& plan_;
  int threads_;
  Buffer arena_, scratch_;
  std::vector<const Work*> work_;  // of each instruction, as this many threads want it
  std::vector<void*> operands_;    // of all instructions, one after the other
  std::vector<size_t> first_;      // of each instruction's operands
  std::vector<InputUse> input_uses_;
  std::vector<void*> outputs_;
  std::vector<InputUse> input_outputs_;  // outputs that are inputs handed through
};

// Throws ValueError unless the store's slots have the shapes and dtype that the plan was made for.
void check_store(const Plan& plan, const Store& store);

// One evaluation in memory of its own, so that any number of callers may use one plan at once. `inputs` and
// `outputs` point to arrays of the plan's types; `store` may be null for a plan without parameters and
// states. Random numbers are those of `key`. Throws ValueError for an index out of range; a training plan has
// then written no state.
void evaluate(const Plan& plan, Store* store, const std::vector<const char*>& inputs, int threads,
              const RunKey& key, const std::vector<void*>& outputs);

// Evaluates a small plan again and again, on the calling thread, in memory that is kept: for calls that cost
// less than preparing them would. Its random numbers are those of seed 0.
class Evaluator {
 public:
  // Throws as evaluate() does, and ValueError if the plan writes states.
  Evaluator(std::shared_ptr<const Plan> plan, std::shared_ptr<Store> store);

  const Plan& plan() const { return *plan_; }

  // Arrays of the types of the plan's inputs and outputs. False, with nothing written, if an index was out of
  // range or another thread is using this object.
  bool run(const char* const* inputs, char* const* outputs);

 private:
  std::shared_ptr<const Plan> plan_;
  std::shared_ptr<Store> store_;
  Workspace workspace_;
  std::atomic_flag busy_;
};

}  // namespace bpcore
