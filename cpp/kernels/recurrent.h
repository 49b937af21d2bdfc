// Recurrence over time: rows of a batch go through all steps together, with a product of their state and the
// recurrent weight at each step. Rows know nothing of each other, so blocks of them are tasks of their own.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/ranges.h"
#include "kernels/gemm.h"

namespace bpcore::kernels {

// Sizes of a recurrence: `gates` products of width `units` are made of a state of width `units`.
struct RecurrentShape {
  int64_t batch, steps, units, gates;

  int64_t wide() const { return gates * units; }  // width of all gates together
};

// A block of rows on its way through time, in either direction.
template <class T>
class Recurrence {
 public:
  enum class Direction : uint8_t { Forward, Backward };

  // Blocks of at most about `rows` rows.
  Recurrence(const RecurrentShape& shape, Direction direction, int64_t rows)
      : shape_(shape),
        direction_(direction),
        rows_(std::max<int64_t>(1, std::min(rows, shape.batch))),
        state_stride_(padded(shape.units)),
        gates_stride_(padded(shape.wide())),
        whole_(product(rows_)),
        rest_(product(shape.batch % rows_)) {
    packed_ = std::max(whole_.packed_b_elements(), rest_.packed_b_elements());
  }

  int64_t tasks() const { return std::max<int64_t>(1, ceil_div(shape_.batch, rows_)); }
  Range rows_of(int64_t task) const { return {task * rows_, std::min(shape_.batch, (task + 1) * rows_)}; }

  // Elements, 64-byte aligned.
  int64_t scratch_elements() const {
    return packed_ + rows_ * (2 * state_stride_ + gates_stride_) +
           std::max(whole_.scratch_elements(), rest_.scratch_elements());
  }

  // Where a row keeps what it works on: its state (units), the gates (gates · units), and as many elements
  // of its own as the state has.
  struct Row {
    int64_t number;  // in the batch
    T* state;
    T* gates;
    T* own;
  };

  // Forward: begin(row) sets state and own; then at each step, in order, gates = state · weight and
  // step(row, t), which makes the next state of them. Backward: from the last step to the first, step(row, t)
  // makes the gradients of the gates of what `state` holds, then state = gates · weightᵀ. At last end(row).
  // weight (units, gates · units).
  template <class Begin, class Step, class End>
  void run(int64_t task, const T* weight, T* scratch, Begin begin, Step step, End end) const {
    const Range range = rows_of(task);
    const int64_t count = range.end - range.begin;
    if (count <= 0) return;
    const Gemm<T>& gemm = count == rows_ ? whole_ : rest_;
    T* packed = scratch;
    T* states = packed + packed_;
    T* gates = states + rows_ * state_stride_;
    T* own = gates + rows_ * gates_stride_;
    T* gemm_scratch = own + rows_ * state_stride_;
    const auto each_row = [&](auto&& body) {
      for (int64_t i = 0; i < count; ++i)
        body(Row{range.begin + i, states + i * state_stride_, gates + i * gates_stride_,
                 own + i * state_stride_});
    };
    gemm.pack_b(weight, packed);
    each_row(begin);
    const bool forward = direction_ == Direction::Forward;
    const auto multiply = [&] {
      for (int64_t tile = 0; tile < gemm.tasks(); ++tile)
        gemm.run_packed(tile, forward ? states : gates, packed, forward ? gates : states, {}, gemm_scratch);
    };
    for (int64_t i = 0; i < shape_.steps; ++i) {
      const int64_t t = forward ? i : shape_.steps - 1 - i;
      if (forward) multiply();
      each_row([&](const Row& row) { step(row, t); });
      if (!forward) multiply();
    }
    each_row(end);
  }

 private:
  // Rows whole cache lines apart, but not a power of two of them: those would share sets of the cache.
  static int64_t padded(int64_t size) { return round_up(size, 16) + 16; }

  Gemm<T> product(int64_t rows) const {
    const int64_t units = shape_.units, wide = shape_.wide();
    if (direction_ == Direction::Forward)
      return {{rows, wide, units, false, false, state_stride_, wide, gates_stride_}, 1};
    return {{rows, units, wide, false, true, gates_stride_, wide, state_stride_}, 1};
  }

  RecurrentShape shape_;
  Direction direction_;
  int64_t rows_;
  int64_t state_stride_, gates_stride_;
  Gemm<T> whole_, rest_;  // products of a whole block, and of the last one
  int64_t packed_;        // elements of the packed weight
};

}  // namespace bpcore::kernels
