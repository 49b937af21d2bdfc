// Recurrence over time: rows of a batch go through all steps together, with a product of their state and the
// recurrent weight at each step. Rows know nothing of each other, so blocks of them are tasks of their own.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/ranges.h"
#include "kernels/gemm/gemm.h"

namespace bpcore::kernels {

// Sizes of a recurrence: `gates` products of width `units` are made of a state of width `units`.
struct RecurrentShape {
  int64_t batch, steps, units, gates;

  int64_t wide() const { return gates * units; }  // width of all gates together
};

// Elements between rows of the states and of the gates that the caller keeps for all steps; 0: a step's are
// in scratch, and the next step writes over them.
struct KeptRows {
  int64_t states = 0, gates = 0;
};

// A block of rows on its way through time, in either direction.
template <class T>
class Recurrence {
 public:
  enum class Direction : uint8_t { Forward, Backward };

  // Blocks of at most about `rows` rows.
  Recurrence(const RecurrentShape& shape, Direction direction, const KeptRows& kept, int64_t rows)
      : shape_(shape),
        direction_(direction),
        kept_(kept),
        rows_(std::max<int64_t>(1, std::min(rows, shape.batch))),
        own_stride_(padded(shape.units)),
        state_stride_(kept.states > 0 ? kept.states : own_stride_),
        gates_stride_(kept.gates > 0 ? kept.gates : padded(shape.wide())),
        whole_(product(rows_)),
        rest_(product(shape.batch % rows_)) {
    packed_ = std::max(whole_.packed_b_elements(), rest_.packed_b_elements());
  }

  int64_t tasks() const { return std::max<int64_t>(1, ceil_div(shape_.batch, rows_)); }
  Range rows_of(int64_t task) const { return {task * rows_, std::min(shape_.batch, (task + 1) * rows_)}; }

  // Elements, 64-byte aligned.
  int64_t scratch_elements() const {
    return packed_ + rows_ * (own_stride_ + scratch_states() + scratch_gates()) +
           std::max(whole_.scratch_elements(), rest_.scratch_elements());
  }

  // Where a row keeps what it works on: its state (units) and the gates (gates · units) of this step, and as
  // many elements of its own as the state has.
  struct Row {
    int64_t number;  // in the batch
    T* state;
    T* gates;
    T* own;
  };

  // Of all steps, (steps, batch, row as KeptRows says): a block's rows of a step are one run of memory.
  // Null: in scratch.
  struct Kept {
    T* states = nullptr;
    T* gates = nullptr;
  };

  // What step(row, t) reads, `columns` elements of each row: fetched while the product before it runs. Null:
  // nothing, which is best where little is read.
  struct Read {
    const T* begin = nullptr;
    int64_t row_step = 0, time_step = 0, columns = 0;

    ReadNext<T> at(int64_t row, int64_t t) const {
      if (begin == nullptr) return {};
      return {begin + row * row_step + t * time_step, row_step, columns};
    }
  };

  // Forward: begin(row) sets state and own; then at each step, in order, gates = state · weight and
  // step(row, t), which makes the next state of them. Backward: from the last step to the first, step(row, t)
  // makes the gradients of the gates of what `state` holds, then state = gates · weightᵀ. At last end(row).
  // weight (units, gates · units).
  template <class Begin, class Step, class End>
  void run(int64_t task, const T* weight, T* scratch, const Kept& kept, const Read& read, Begin begin,
           Step step, End end) const {
    const Range range = rows_of(task);
    const int64_t count = range.end - range.begin;
    if (count <= 0) return;
    const Gemm<T>& gemm = count == rows_ ? whole_ : rest_;
    T* packed = scratch;
    T* own = packed + packed_;
    T* own_states = own + rows_ * own_stride_;
    T* own_gates = own_states + rows_ * scratch_states();
    T* gemm_scratch = own_gates + rows_ * scratch_gates();
    const auto states_of = [&](int64_t t) {
      return kept.states == nullptr ? own_states
                                    : kept.states + (t * shape_.batch + range.begin) * state_stride_;
    };
    const auto gates_of = [&](int64_t t) {
      return kept.gates == nullptr ? own_gates
                                   : kept.gates + (t * shape_.batch + range.begin) * gates_stride_;
    };
    const auto each_row = [&](int64_t t, auto&& body) {
      T *states = states_of(t), *gates = gates_of(t);
      for (int64_t i = 0; i < count; ++i)
        body(Row{range.begin + i, states + i * state_stride_, gates + i * gates_stride_,
                 own + i * own_stride_});
    };
    const bool forward = direction_ == Direction::Forward;
    const auto multiply = [&](int64_t t, const ReadNext<T>& next) {
      T *states = states_of(t), *gates = gates_of(t);
      for (int64_t tile = 0; tile < gemm.tasks(); ++tile)
        gemm.run_packed(tile, forward ? states : gates, packed, forward ? gates : states, {}, next,
                        gemm_scratch);
    };
    gemm.pack_b(weight, packed);
    const int64_t last = shape_.steps - 1;
    each_row(forward ? 0 : last, begin);
    for (int64_t i = 0; i < shape_.steps; ++i) {
      const int64_t t = forward ? i : last - i;
      if (forward) multiply(t, read.at(range.begin, t));
      each_row(t, [&](const Row& row) { step(row, t); });
      if (!forward) multiply(t, t == 0 ? ReadNext<T>{} : read.at(range.begin, t - 1));
    }
    each_row(forward ? last : 0, end);
  }

 private:
  // Rows whole cache lines apart, but not a power of two of them: those would share sets of the cache.
  static int64_t padded(int64_t size) { return round_up(size, 16) + 16; }
  // Of a row, in scratch.
  int64_t scratch_states() const { return kept_.states > 0 ? 0 : state_stride_; }
  int64_t scratch_gates() const { return kept_.gates > 0 ? 0 : gates_stride_; }

  Gemm<T> product(int64_t rows) const {
    const int64_t units = shape_.units, wide = shape_.wide();
    if (direction_ == Direction::Forward)
      return {{rows, wide, units, false, false, state_stride_, wide, gates_stride_}, 1};
    return {{rows, units, wide, false, true, gates_stride_, wide, state_stride_}, 1};
  }

  RecurrentShape shape_;
  Direction direction_;
  KeptRows kept_;
  int64_t rows_;
  int64_t own_stride_, state_stride_, gates_stride_;
  Gemm<T> whole_, rest_;  // products of a whole block, and of the last one
  int64_t packed_;        // elements of the packed weight
};

}  // namespace bpcore::kernels
