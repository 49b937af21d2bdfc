// What rnn, lstm and gru share: shape rules, lengths, the cut into tasks.
#pragma once

#include <algorithm>

#include "kernels/recurrent.h"

#include "ops/products/product.h"
#include "ops/rules.h"

namespace bpcore {

using kernels::RecurrentShape;

// The sizes that gates_x (batch, steps, gates · units) and weight (units, gates · units), inputs 0 and 1,
// agree on.
inline RecurrentShape recurrent_shape(const char* op, const Signature& node, int64_t gates) {
  const Shape &x = node.input(0).shape, &weight = node.input(1).shape;
  if (weight.rank() != 2 || weight[0] == 0 || weight[1] != gates * weight[0])
    throw ValueError(concat(op, ": the recurrent weight must be of shape (units, ",
                            gates == 1 ? "" : concat(gates, " * "), "units), got ", weight));
  if (x.rank() != 3 || x[1] == 0 || x[2] != weight[1])
    throw ValueError(concat(op, ": expected input of shape (batch, steps, ", weight[1],
                            ") with at least one step, got ", x));
  return {x[0], x[1], weight[0], gates};
}

// The same for a backward op, from the weight and a state (batch, units), its inputs of these numbers, and
// the number of steps that it keeps.
inline RecurrentShape recurrent_shape_of_states(const char* op, const Signature& node, int64_t gates,
                                                int weight_number, int state_number) {
  const Shape &weight = node.input(weight_number).shape, &state = node.input(state_number).shape;
  const int64_t steps = node.attributes.integer("steps");
  if (weight.rank() != 2 || weight[0] == 0 || weight[1] != gates * weight[0] || state.rank() != 2 ||
      state[1] != weight[0] || steps < 1)
    throw ValueError(concat(op, ": weight of shape ", weight, ", a state of shape ", state, " and ", steps,
                            " steps do not fit together"));
  return {state[0], steps, weight[0], gates};
}

inline void expect_shape(const char* op, const Signature& node, int number, const char* what,
                         const Shape& shape) {
  if (node.input(number).shape != shape)
    throw ValueError(concat(op, ": ", what, " must be of shape ", shape, ", got ", node.input(number).shape));
}

// All inputs are floats of one dtype; but if there are more than `floats`, the last one is lengths (batch).
inline void expect_recurrent_inputs(const char* op, const Signature& node, int floats) {
  expect_inputs(op, node, floats, floats + 1);
  expect_float(op, node, 0);
  for (int number = 1; number < floats; ++number) expect_same_dtype(op, node, 0, number);
  if (node.count() > floats) expect_dtype(op, node, floats, DType::Int64);
}

// The inputs of a forward op beyond its floats.
struct RecurrentInputs {
  RecurrentShape shape;
  int lengths;   // number of the input, -1: all rows have all steps
  int indices;   // likewise, -1: input 0 is gates_x
  int64_t rows;  // of the table
};

class RecurrentOp : public Op {
 public:
  int64_t index_bound(const Signature& node, int number) const override {
    return number == indices_of(node) ? node.input(0).shape[0] : -1;
  }
  ListedRows rows_read(const Signature& node, int number) const override {
    return number == 0 ? ListedRows{indices_of(node)} : ListedRows{};
  }

 protected:
  // For compile, behind which the types are known to fit.
  RecurrentInputs inputs_of(const Signature& node, int64_t gates, int floats) const {
    const int indices = indices_of(node), count = indices < 0 ? node.count() : indices;
    const Shape &places = node.input(indices < 0 ? 0 : indices).shape, &weight = node.input(1).shape;
    return {{places[0], places[1], weight[0], gates},
            count > floats ? floats : -1,
            indices,
            node.input(0).shape[0]};
  }

 private:
  static int indices_of(const Signature& node) {
    return node.attributes.flag(from_table) ? node.count() - 1 : -1;
  }
};

// What the input adds to the gates of a row's step, wherever it is.
template <class T>
class GatesX {
 public:
  GatesX(const char* op, const RecurrentInputs& inputs, const Frame& frame)
      : op_(op),
        inputs_(inputs),
        begin_(frame.input<T>(0)),
        indices_(inputs.indices < 0 ? nullptr : frame.input<int64_t>(inputs.indices)),
        status_(frame.status) {}

  const T* at(int64_t row, int64_t t) const {  // (gates · units)
    const int64_t place = row * inputs_.shape.steps + t, wide = inputs_.shape.wide();
    if (indices_ == nullptr) return begin_ + place * wide;
    const int64_t index = indices_[place];
    if (index >= 0 && index < inputs_.rows) return begin_ + index * wide;
    status_->wrong_index(op_, index, inputs_.rows);
    return begin_;
  }

  // What a step reads of it, to be fetched before. The rows of a small table are in the caches already: no
  // columns of it, but what the product writes is fetched all the same.
  typename kernels::Recurrence<T>::Read read() const {
    if (indices_ != nullptr) return {begin_, 0, 0, 0};
    const int64_t wide = inputs_.shape.wide();
    return {begin_, inputs_.shape.steps * wide, wide, wide};
  }

 private:
  const char* op_;
  const RecurrentInputs& inputs_;
  const T* begin_;
  const int64_t* indices_;
  Status* status_;
};

// How many steps each row has.
struct Lengths {
  const int64_t* given;  // (batch), or null: all
  int64_t steps;

  static Lengths of_inputs(const RecurrentInputs& inputs, const Frame& frame) {
    return {inputs.lengths < 0 ? nullptr : frame.input<int64_t>(inputs.lengths), inputs.shape.steps};
  }
  bool good(int64_t row) const { return given == nullptr || (given[row] >= 1 && given[row] <= steps); }
  int64_t of(int64_t row) const { return given == nullptr || !good(row) ? steps : given[row]; }
  void check(const char* op, int64_t row, Status* status) const {
    if (!good(row)) status->wrong_length(op, given[row], 1, steps);
  }
};

// Lets a routine run body(recurrence, frame, task) for each block of rows. `each` is a step's cost beside the
// product, in nanoseconds for each unit of each row.
template <class T, class Body>
void run_recurrence(Routine& routine, const RecurrentShape& shape,
                    typename kernels::Recurrence<T>::Direction direction, const kernels::KeptRows& kept,
                    double each, Body body) {
  const auto cut = [&](int64_t rows) -> Work {
    const kernels::Recurrence<T> recurrence(shape, direction, kept, rows);
    const int64_t scratch = recurrence.scratch_elements() * static_cast<int64_t>(sizeof(T));
    routine.scratch_bytes = std::max(routine.scratch_bytes, scratch);
    return {[=](const Frame& frame, int64_t task) { body(recurrence, frame, task); }, recurrence.tasks()};
  };
  const int64_t rows = shape.batch * shape.steps;
  routine.cost = product_cost(rows, shape.wide(), shape.units) +
                 each * static_cast<double>(rows) * static_cast<double>(shape.units);
  static_cast<Work&>(routine) = cut(shape.batch > 32 ? 16 : 8);
  if (routine.tasks == 1) return;
  routine.alone = cut(64);
  routine.pair = cut(std::min<int64_t>(64, round_up(ceil_div(shape.batch, 2), 8)));
}

}  // namespace bpcore
