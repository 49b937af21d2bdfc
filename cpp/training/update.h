// What lies between the gradients of a step and its new parameters: accumulation, clipping, the optimizer,
// constraints, the moving average.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "graph/plan.h"
#include "graph/store.h"
#include "optim/optimizer.h"

namespace bpcore {

// What a parameter must be like after each update.
struct Constraint {
  enum class Kind { MaxNorm, NonNegative };
  Kind kind;
  int64_t slot;
  double most = 0;  // MaxNorm: of each column, over all axes but the last
};

struct UpdateOptions {
  std::vector<Hyper> groups;           // of the optimizer, at least one
  std::vector<int64_t> group_of_slot;  // empty: all parameters are in the first
  std::vector<int64_t> layer_of_slot;  // numbers of layers, for their norms; empty: each slot its own
  // At most one is above 0. Norms are Euclidean.
  double clip_value = 0, clip_norm = 0, clip_layer_norm = 0;
  bool check_gradients = false;  // refuse an update with gradients that are not finite
  double average = 0;            // decay of the moving average of parameters; 0: none
  std::vector<Constraint> constraints;
};

// A range of elements that one task updates. All its tensors share settings; if norms are wanted, it is of
// one tensor.
struct Piece {
  Range range;
  size_t group;
  size_t slot;

  bool operator==(const Piece&) const = default;
};

// A trainer's gradients and optimizer: the other half of a step, beside the model's store.
class Update {
 public:
  // Throws ValueError for an unknown optimizer or setting, or for groups and layers that don't fit the store.
  Update(std::shared_ptr<Store> store, const std::string& name, UpdateOptions options);

  // The pieces that a plan computes whole gradients for. A frozen parameter, or one that this loss doesn't
  // reach, is in none: neither weight decay nor momentum moves it. With `by_slot`, no piece is of several
  // tensors.
  std::vector<Piece> pieces(const Plan& plan, bool by_slot) const;

  // Whether gradients may be given by rows, see RowUpdate: nothing but the optimizer itself reads them,
  // element by element.
  bool takes_rows() const;
  // A run is to write gradients; those of these slots are zero, here or already.
  void expect_zeros(const std::vector<int64_t>& slots);
  size_t group_of(int64_t slot) const {
    return static_cast<size_t>(options_.group_of_slot[static_cast<size_t>(slot)]);
  }

  // Make room for accumulate() and for measured updates, which allocate nothing.
  void prepare_to_accumulate();
  void prepare_to_measure();

  // Adds the gradients of a micro-batch of this weight to those before it; `first` begins anew. The last one
  // leaves their weighted mean in `gradients`.
  void accumulate(Team& team, const std::vector<Piece>& pieces, double weight, bool first, bool last);

  // Measures and clips the gradients, as far as the options say so, and measures them anyway if `measured`,
  // for which pieces must be by slot. False if they are not finite, and the options look for that: the update
  // must not happen, and wrong_layer() says whose it is.
  bool control(Team& team, const std::vector<Piece>& pieces, bool measured);
  int64_t wrong_layer() const { return wrong_layer_; }  // -1: no gradient was refused

  // One step of the optimizer, with a rate for each group.
  void apply(Team& team, const std::vector<Piece>& pieces, const double* rates);
  // The same, after control() has measured the gradients. Writes Euclidean norms: of all layers' gradients
  // before clipping, then of their parameters before the step, then of what the step changed.
  void apply_measured(Team& team, const std::vector<Piece>& pieces, const double* rates, double* norms);
  size_t layers() const { return layers_; }

  const std::shared_ptr<Store>& store() const { return store_; }
  Optimizer& optimizer() { return *optimizer_; }
  const Optimizer& optimizer() const { return *optimizer_; }
  ElementwiseOptimizer& elementwise() { return *elementwise_; }  // if it takes rows
  const Buffer& gradients() const { return gradients_; }
  bool has_average() const { return options_.average > 0; }
  const Buffer& average() const { return average_; }

 private:
  bool measures() const;
  bool needs_slots() const { return measures() || tensorwise_ != nullptr || !options_.constraints.empty(); }
  void measure(Team& team, const std::vector<Piece>& pieces, const void* values);
  void scale_layers(Team& team, const std::vector<Piece>& pieces);
  void move_by_tensor(Team& team, const std::vector<Piece>& pieces);
  void follow(const Piece& piece, double share);
  void constrain(Team& team, const std::vector<Piece>& pieces);

  std::shared_ptr<Store> store_;
  UpdateOptions options_;
  Buffer gradients_, sums_, average_, before_;
  std::unique_ptr<Optimizer> optimizer_;
  ElementwiseOptimizer* elementwise_;  // the optimizer as what it is; the other is null
  const TensorwiseOptimizer* tensorwise_;
  std::vector<bool> zero_;  // by slot: whether the gradient is known to be zero between runs
  double weight_ = 0;       // of the micro-batches in sums_
  int64_t wrong_layer_ = -1;
  size_t layers_ = 0;
  std::vector<double> partial_, other_;                    // sums of squares by piece
  std::vector<double> by_layer_, of_gradients_, factors_;  // by layer; the first two sums of squares
  std::vector<double> lengths_;                            // by slot
};

}  // namespace bpcore
