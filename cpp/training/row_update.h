// The update of a parameter whose gradient is zero but in a few rows a step: those of an embedding's tokens,
// or of the columns that a sparse batch has elements in.
//
// Between steps the whole gradient is zero: an update clears the rows that it has read. Rows without gradient
// are left alone. Where the optimizer's formula moves them all the same, as Adam's does, their steps are put
// off until a batch reads them again, or the run ends: the same values, but memory is gone through once for
// many steps.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/parallel.h"
#include "training/update.h"

namespace bpcore {

class RowUpdate {
 public:
  // Batches list at most `most` rows of the parameter.
  RowUpdate(Update& update, const RowGradient& gradient, int64_t most);

  const RowGradient& gradient() const { return gradient_; }

  // A batch reads these rows, and is to give them a gradient: brings them up to date. Rows that don't exist
  // are left out; the plan's run finds them.
  void begin(Team& team, const int64_t* rows, int64_t count);
  // After the optimizer has begun its step: these rows take it.
  void apply(Team& team);
  // Instead of that, if there is to be no step.
  void drop(Team& team);
  bool puts_off() const { return !rests_; }
  // Rough nanoseconds a step on one core.
  double cost() const;
  // Brings all rows up to date. After that, the optimizer may forget its steps.
  void finish(Team& team);

 private:
  // body(row) for each row of the batch.
  template <class Body>
  void each_row(Team& team, Body&& body);
  void clear(int64_t begin);

  Update& update_;
  RowGradient gradient_;
  int64_t rows_, width_, offset_, rows_per_task_;
  size_t group_;
  bool rests_;
  uint64_t batch_ = 0;
  std::vector<uint64_t> seen_;   // by row: the last batch that listed it
  std::vector<uint32_t> done_;   // by row: how many of the kept steps it has taken
  std::vector<int64_t> listed_;  // rows of the batch at hand, each once
};

// All of a session's, and the steps that the optimizer keeps for them.
class RowUpdates {
 public:
  // For this plan, and for `tail` unless that is null. Throws ValueError if the update doesn't take gradients
  // by rows, or the plans differ in them.
  RowUpdates(Update* update, const Plan& plan, const Plan* tail);

  double cost() const;

  void begin_run();
  // inputs(number): where the batch's input lies.
  template <class Inputs>
  void begin(Team& team, const Plan& plan, const Inputs& inputs) {
    for (RowUpdate& each : updates_) {
      const auto size = [&](int64_t input) {
        return plan.inputs()[static_cast<size_t>(input)].shape.elements();
      };
      const auto at = [&](int64_t input) { return reinterpret_cast<const int64_t*>(inputs(input)); };
      const RowGradient& g = each.gradient();
      const int64_t all = size(g.indices);
      const int64_t count = g.ends < 0 ? all : std::clamp<int64_t>(at(g.ends)[size(g.ends) - 1], 0, all);
      each.begin(team, at(g.indices), count);
    }
  }
  void apply(Team& team);
  void drop(Team& team);
  void end_run(Team& team);

 private:
  void finish(Team& team);

  Update* update_;  // null where nothing is updated
  std::vector<RowUpdate> updates_;
  std::vector<int64_t> slots_;
  bool puts_off_ = false;
};

}  // namespace bpcore
