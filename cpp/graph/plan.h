// A plan: what to run, in which order, on which places of which memory. Immutable, made once per input shape,
// and without pointers, so that one plan serves any number of stores, arenas and threads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace bpcore {

enum class Space : uint8_t { Arena, Constant, Parameter, Gradient, State, Input };

// A place in memory. `index`: for Arena a byte offset; for Constant and Input a number; for Parameter,
// Gradient and State a slot. `offset`: bytes from there on, for a part of what lies there.
struct Location {
  Space space = Space::Arena;
  int64_t index = 0;
  int64_t offset = 0;
};

struct Instruction {
  Routine routine;
  std::vector<Location> operands;  // the output, then the inputs
  std::string text;                // "dense[relu] (32, 64)", for people and tests
};

struct GradientRoot {
  int64_t slot;
  NodeId node;
};

// Inputs used directly as labels or indices.
struct IndexBound {
  int64_t input;
  int64_t bound;  // every value must be in [0, bound)
  std::string op;
};

// A gradient of which a run writes only some rows, those that an input lists, and which is zero elsewhere:
// whoever runs the plan clears these rows again before the next run. The run reads only them of the
// parameter, too.
struct RowGradient {
  int64_t slot;
  int64_t indices;  // number of the input, int64
  int64_t ends;     // of the one whose last element says how many of them count; -1: all do

  bool operator==(const RowGradient&) const = default;
};

class Plan {
 public:
  // `outputs` are read by the caller after a run; `gradients` are written to the optimizer's gradient buffer;
  // `training`: the graph's state assignments are made when a run is committed. Throws ValueError if a slot
  // is given two gradients. With `by_rows`, gradients may be RowGradients.
  Plan(const Graph& graph, const std::vector<NodeId>& outputs, const std::vector<GradientRoot>& gradients,
       bool training, bool by_rows = false);

  // The run itself, up to `commits_begin`; behind it, what a training plan writes to states once the run has
  // been found good and everything has been read.
  const std::vector<Instruction>& instructions() const { return instructions_; }
  size_t commits_begin() const { return commits_begin_; }
  const std::vector<Location>& outputs() const { return outputs_; }
  const std::vector<TensorType>& output_types() const { return output_types_; }
  const std::vector<TensorType>& inputs() const { return inputs_; }
  const std::vector<std::pair<int64_t, TensorType>>& parameters() const { return parameters_; }  // slots used
  const std::vector<std::pair<int64_t, TensorType>>& states() const { return states_; }
  const std::vector<std::pair<int64_t, TensorType>>& gradients() const { return gradients_; }
  const std::vector<RowGradient>& row_gradients() const { return row_gradients_; }  // some of these
  const std::vector<std::shared_ptr<const Buffer>>& constants() const { return constants_; }
  const std::vector<IndexBound>& index_bounds() const { return index_bounds_; }

  int64_t arena_bytes() const { return arena_bytes_; }
  int64_t live_bytes() const { return live_bytes_; }  // the most that any step holds: the arena's lower bound
  int64_t scratch_bytes() const { return scratch_bytes_; }       // of one thread
  double cost() const { return serial_cost_ + parallel_cost_; }  // rough nanoseconds on one core
  // As many threads as pay for this plan and so much work `beside` it that can be shared, in nanoseconds; at
  // most `available`.
  int threads(int available, double beside = 0) const;

 private:
  friend class PlanBuilder;
  std::vector<Instruction> instructions_;
  std::vector<Location> outputs_;
  std::vector<TensorType> output_types_, inputs_;
  std::vector<std::pair<int64_t, TensorType>> parameters_, states_, gradients_;
  std::vector<RowGradient> row_gradients_;
  std::vector<std::shared_ptr<const Buffer>> constants_;
  std::vector<IndexBound> index_bounds_;
  size_t commits_begin_ = 0;
  int64_t arena_bytes_ = 0, live_bytes_ = 0, scratch_bytes_ = 0;
  double serial_cost_ = 0, parallel_cost_ = 0;  // nanoseconds
};

}  // namespace bpcore
