// Many steps in one call: shuffle, gather, forward, backward, update.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "graph/executor.h"
#include "graph/store.h"
#include "training/inputs.h"
#include "training/outputs.h"
#include "training/row_update.h"
#include "training/update.h"

namespace bpcore {

struct SessionOptions {
  int64_t batch_size;
  uint64_t seed = 0;               // of the shuffles, and of random numbers in training steps
  int threads = 1;                 // at most
  int64_t accumulate = 1;          // batches whose gradients make one update
  bool skip = false;               // leave out updates that are not finite, instead of stopping before them
  int64_t watch_every = 0;         // steps between those that are watched; 0: none is
  std::vector<int64_t> rows = {};  // of the arrays that are the samples, in order; empty: all
  std::vector<int64_t> collected = {};  // outputs of which every sample's row is kept, instead of sums
  std::vector<std::string> names =
      {};  // of the arrays; if given, each batch is looked at for NaN and infinity
};

class Session {
 public:
  // One array per plan input, in order. `plan` takes batches of batch_size rows; `tail` the rest, and is null
  // exactly when there is none. Without `update` nothing is updated and the plans have no gradients. Output 0
  // of the plans is the mean loss, the others are sums over the batch, or collected; where gradients are
  // accumulated, output 2 is the weight of a batch's. Throws ValueError where these don't fit together.
  // `tail` may have gradients for other parameters than `plan`, unless they are accumulated. Gradients by
  // rows can be neither accumulated nor watched. `watching` takes the place of `plan` in watched steps and
  // has more scalars behind its outputs; null if none is.
  Session(std::shared_ptr<const Plan> plan, std::shared_ptr<const Plan> tail,
          std::shared_ptr<const Plan> watching, std::shared_ptr<Store> store, std::shared_ptr<Update> update,
          std::vector<SampleArray> arrays, SessionOptions options);

  void begin_epoch(uint64_t epoch, bool shuffle);

  // After begin_epoch: goes on behind the first `position` steps, which gave these totals, left out `skipped`
  // and collected these rows, see Outputs::resume. Throws ValueError before anything changes where that can't
  // be.
  void seek(int64_t position, const std::vector<double>& totals, int64_t skipped,
            const std::map<int64_t, Outputs::Rows>& collected);

  // Runs up to `steps` steps and returns how many were done. Each update takes the next learning rate for
  // each group of the optimizer (rates, update by update). It stops early only before an update whose loss or
  // gradient is not finite. Throws ValueError before the update of a batch with an index out of range, or
  // with data that is not finite where that is looked for. Allocates nothing, unless steps are watched and
  // this is the longest run so far.
  int64_t run(int64_t steps, const double* rates);

  int64_t position() const { return position_; }  // steps of this epoch
  int64_t samples() const { return inputs_.samples(); }
  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  size_t groups() const { return update_ ? update_->optimizer().groups() : 1; }
  int64_t skipped() const { return skipped_; }  // steps of this epoch
  // Whose gradient was not finite where a run has stopped, or left out a step last; -1: the loss was not.
  int64_t wrong_layer() const { return wrong_layer_; }
  // Of the last run, if steps are watched: the loss of each step done; and for each watched step its number
  // (updates before it), the norms that Update::apply_measured gives, and the further outputs of the plan.
  const std::vector<double>& losses() const { return losses_; }
  const std::vector<double>& watched() const { return watched_; }
  size_t watched_values() const { return watched_values_; }  // of one step
  const Outputs& outputs() const { return outputs_; }

 private:
  struct Part {  // a plan with its memory
    std::shared_ptr<const Plan> plan;
    std::unique_ptr<Workspace> workspace;
    int64_t rows;
    std::vector<Piece> updated;  // what it has gradients for: other parameters stay as they are
  };
  Part make_part(std::shared_ptr<const Plan> plan, int64_t rows, int threads, bool by_slot = false);
  void check(const Plan& plan, int64_t rows, bool more = false) const;
  void program(Team& team);
  bool batch(Team& team, Part& part, const std::vector<Piece>& pieces, int64_t number, bool first, bool last,
             bool watched);
  void record_watched();
  bool step(Team& team, const double* rates);
  RunKey key(int64_t batch_of_step) const;

  std::shared_ptr<Store> store_;
  std::shared_ptr<Update> update_;
  SessionOptions options_;
  Inputs inputs_;
  Outputs outputs_;
  RowUpdates row_updates_;
  int64_t batches_, steps_per_epoch_, position_ = 0, skipped_ = 0, wrong_layer_ = -1;
  Part full_, tail_, watching_;
  int threads_;

  std::vector<double> losses_, watched_;
  size_t watched_values_ = 0;
  int64_t next_watched_ = 0;
  Buffer states_before_;  // a step's batches; for a step that is not finite in a later one

  // Of the run under way.
  const double* rates_ = nullptr;
  int64_t wanted_ = 0, done_ = 0;
  Status status_;
  bool clean_ = true;  // no batch had data that was not finite
};

}  // namespace bpcore
