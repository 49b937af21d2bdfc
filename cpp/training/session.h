// Many steps in one call: shuffle, gather, forward, backward, update.
#pragma once

#include <memory>
#include <vector>

#include "graph/executor.h"
#include "graph/store.h"
#include "optim/optimizer.h"
#include "training/rows.h"

namespace bpcore {

// A trainer's gradients and optimizer: the other half of a step, beside the model's store.
struct Update {
  std::shared_ptr<Store> store;
  Buffer gradients;
  std::unique_ptr<Optimizer> optimizer;

  Update(std::shared_ptr<Store> store, const std::string& name, const Hyper& hyper);
};

struct SessionOptions {
  int64_t batch_size;
  uint64_t seed = 0;  // of the shuffles, and of random numbers in training steps
  int threads = 1;    // at most
};

class Session {
 public:
  // One array per plan input, in order. `plan` takes batches of batch_size rows; `tail` the rest, and is null
  // exactly when there is none. Without `update` nothing is updated and the plans have no gradients. Every
  // output of the plans is a float scalar; output 0 is the loss. Throws ValueError where these don't fit
  // together.
  Session(std::shared_ptr<const Plan> plan, std::shared_ptr<const Plan> tail, std::shared_ptr<Store> store,
          std::shared_ptr<Update> update, std::vector<SampleArray> arrays, SessionOptions options);

  void begin_epoch(uint64_t epoch, bool shuffle);

  // Runs up to `steps` steps with rates[i] as step i's learning rate, and returns how many were done. It
  // stops early only before an update whose loss is not finite. Throws ValueError for an index out of range,
  // before its update. Allocates nothing.
  int64_t run(int64_t steps, const double* rates);

  int64_t position() const { return position_; }
  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  const std::vector<double>& totals() const { return totals_; }  // outputs summed over this epoch's steps
  const std::vector<double>& last() const { return last_; }      // outputs of the last step

 private:
  struct Part {  // a plan with its memory
    std::shared_ptr<const Plan> plan;
    std::unique_ptr<Workspace> workspace;
    int64_t rows;
    std::vector<Range> updated;  // elements it has gradients for: other parameters stay as they are
  };
  struct Input {
    SampleArray array;
    GatherFunction gather;
    bool in_place;  // rows can be read where they are, unless shuffled
    Buffer batch;
  };

  Part make_part(std::shared_ptr<const Plan> plan, int64_t rows, int threads);
  void check(const Plan& plan, int64_t rows) const;
  void program(Team& team);
  std::vector<Range> updated_ranges(const Plan& plan) const;
  void gather(Team& team, const Part& part);
  RunKey key() const;
  void prepare(Part& part);
  void finish(const Part& part, double rate);
  void update(Team& team, const Part& part) const;

  std::shared_ptr<Store> store_;
  std::shared_ptr<Update> update_;
  std::vector<Input> inputs_;
  SessionOptions options_;
  int64_t rows_, steps_per_epoch_, position_ = 0;
  Part full_, tail_;
  int threads_;

  std::vector<int64_t> order_;
  bool shuffled_ = false;
  std::vector<double> totals_, last_;

  // Of the run under way.
  const double* rates_ = nullptr;
  int64_t wanted_ = 0, done_ = 0;
  bool go_on_ = true;
  Status status_;
};

}  // namespace bpcore
