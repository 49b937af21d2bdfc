// ctc: the loss of a sequence of labels whose places in a longer sequence of frames are not known.
#include "kernels/ctc.h"

#include "graph/autodiff.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

struct CtcSizes {
  int64_t sequences, frames, labels, classes, blank;
};

// Scores (N, T, classes), labels (N, L), how many frames and labels each sequence has (N) and (N).
CtcSizes ctc_sizes(const char* op, const Signature& node) {
  expect_float(op, node, 0);
  for (int number = 1; number < 4; ++number) expect_dtype(op, node, number, DType::Int64);
  const Shape &scores = node.input(0).shape, &labels = node.input(1).shape;
  if (scores.rank() != 3 || scores.last() == 0)
    throw ValueError(
        concat(op, ": scores must have shape (sequences, frames, classes), they have shape ", scores));
  if (labels.rank() != 2 || labels[0] != scores[0])
    throw ValueError(concat(op, ": scores of shape ", scores, " need labels of shape (", scores[0],
                            ", labels), got ", labels));
  for (int number = 2; number < 4; ++number)
    if (node.input(number).shape != scores.head(1))
      throw ValueError(concat(op, ": ", number == 2 ? "input" : "label", " lengths must have shape ",
                              scores.head(1), ", one a sequence, got ", node.input(number).shape));
  const int64_t blank = node.attributes.integer("blank");
  if (blank < 0 || blank >= scores.last())
    throw ValueError(concat(op, ": blank must be one of the ", scores.last(), " classes, got ", blank));
  return {scores[0], scores[1], labels[1], scores.last(), blank};
}

int64_t ctc_index_bound(const Signature& node, int number) {
  return number == 2   ? node.input(0).shape[1] + 1
         : number == 3 ? node.input(1).shape[1] + 1
                       : -1;  // labels behind a sequence's last may be anything
}

// What a task reads of sequence `index`.
template <class T>
struct CtcSequence {
  const T* scores;        // (frames, classes)
  const int64_t* labels;  // (labels)
  int64_t frame_count, label_count;

  CtcSequence(const CtcSizes& sizes, const Frame& frame, int64_t index)
      : scores(frame.input<T>(0) + index * sizes.frames * sizes.classes),
        labels(frame.input<int64_t>(1) + index * sizes.labels),
        frame_count(frame.input<int64_t>(2)[index]),
        label_count(frame.input<int64_t>(3)[index]) {}

  // Whether lengths and labels are in range; tells `status` if not.
  bool is_valid(const CtcSizes& sizes, Status* status) const {
    const auto expect_length = [status](int64_t value, int64_t most) {
      const bool within = value >= 0 && value <= most;
      if (!within) status->wrong_length("ctc", value, 0, most);
      return within;
    };
    if (!expect_length(frame_count, sizes.frames) || !expect_length(label_count, sizes.labels)) return false;
    for (int64_t i = 0; i < label_count; ++i) {
      if (labels[i] >= 0 && labels[i] < sizes.classes) continue;
      status->wrong_index("ctc", labels[i], sizes.classes);
      return false;
    }
    return true;
  }
};

// One sequence a task; function(frame, number of the sequence).
template <class Function>
void run_sequences(Routine& routine, const CtcSizes& sizes, int64_t scratch, double passes,
                   Function function) {
  routine.tasks = sizes.sequences;
  routine.scratch_bytes = scratch * static_cast<int64_t>(sizeof(double));
  const double states = static_cast<double>(2 * sizes.labels + 16);
  routine.cost = passes * 3.0 * static_cast<double>(sizes.sequences * sizes.frames) * states;
  routine.run = std::move(function);
}

class CtcLoss final : public Op {
 public:
  const char* name() const override { return "ctc"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 4);
    ctc_sizes(name(), node);
    return {node.input(0).dtype, node.input(0).shape.head(1)};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const CtcSizes sizes = ctc_sizes(name(), node);
    Routine routine;
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const kernels::Ctc<T> ctc(sizes.frames, sizes.labels, sizes.classes, sizes.blank);
      run_sequences(routine, sizes, ctc.loss_scratch(), 1, [=](const Frame& frame, int64_t index) {
        const CtcSequence<T> sequence(sizes, frame, index);
        if (!sequence.is_valid(sizes, frame.status)) return;
        frame.output<T>()[index] = ctc.loss(sequence.scores, sequence.labels, sequence.frame_count,
                                            sequence.label_count, reinterpret_cast<double*>(frame.scratch));
      });
    });
    return routine;
  }

  int64_t index_bound(const Signature& node, int number) const override {
    return ctc_index_bound(node, number);
  }

  void vjp(Vjp& node) const override {
    node.set(0,
             apply("ctc_gradient", {node.input(0), node.input(1), node.input(2), node.input(3), node.seed()},
                   node.attributes()));
  }
};

// The derivative of Σ seed · ctc by the scores.
class CtcGradient final : public Op {
 public:
  const char* name() const override { return "ctc_gradient"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 5);
    ctc_sizes(name(), node);
    expect_same_dtype(name(), node, 0, 4);
    if (node.input(4).shape != node.input(0).shape.head(1))
      throw ValueError(
          concat(name(), ": seed of shape ", node.input(4).shape, " for scores of ", node.input(0).shape));
    return node.input(0);
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const CtcSizes sizes = ctc_sizes(name(), node);
    Routine routine;
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const kernels::Ctc<T> ctc(sizes.frames, sizes.labels, sizes.classes, sizes.blank);
      run_sequences(routine, sizes, ctc.gradient_scratch(), 2.5, [=](const Frame& frame, int64_t index) {
        const CtcSequence<T> sequence(sizes, frame, index);
        if (!sequence.is_valid(sizes, frame.status)) return;
        ctc.gradient(sequence.scores, sequence.labels, sequence.frame_count, sequence.label_count,
                     frame.input<T>(4)[index], frame.output<T>() + index * sizes.frames * sizes.classes,
                     reinterpret_cast<double*>(frame.scratch));
      });
    });
    return routine;
  }

  int64_t index_bound(const Signature& node, int number) const override {
    return ctc_index_bound(node, number);
  }
};

}  // namespace

void add_ctc_ops(OpList& ops) {
  ops.push_back(std::make_unique<CtcLoss>());
  ops.push_back(std::make_unique<CtcGradient>());
}

}  // namespace bpcore
