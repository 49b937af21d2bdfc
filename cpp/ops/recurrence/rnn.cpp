// rnn: a plain recurrent network over a whole sequence, and its way back.
//
//   h' = activation(x + h W), activation tanh or relu
//
// J. Elman, Finding structure in time (1990).
#include "kernels/recurrent_cells.h"

#include "graph/autodiff.h"
#include "ops/elementwise/activation.h"
#include "ops/op_list.h"
#include "ops/record.h"
#include "ops/recurrence/recurrent.h"
#include "ops/recurrence/unrolled.h"

namespace bpcore {

namespace {

constexpr int64_t gate_count = 1;

// What comes out: output (batch, steps, units), last_h (batch, units), and h before each step.
struct RnnRecord {
  RecordLayout layout;
  int64_t output, last_h, previous;

  explicit RnnRecord(const RecurrentShape& s) {
    const int64_t states = s.batch * s.units;
    output = layout.add(states * s.steps);
    last_h = layout.add(states);
    previous = layout.add(states * s.steps);
  }
};

// What comes out of the way back: gradients of gates_x (batch, steps, units) and h0 (batch, units).
struct RnnGradients {
  RecordLayout layout;
  int64_t gates, h0;

  explicit RnnGradients(const RecurrentShape& s) {
    gates = layout.add(s.batch * s.steps * s.units);
    h0 = layout.add(s.batch * s.units);
  }
};

bool is_relu(const char* op, const Attributes& attributes) {
  const std::string& activation = attributes.text("activation");
  if (activation != "tanh" && activation != "relu")
    throw ValueError(concat(op, ": the activation must be tanh or relu, not ", activation));
  return activation == "relu";
}

class Rnn final : public RecurrentOp {
 public:
  const char* name() const override { return "rnn"; }

  // gates_x (batch, steps, units), weight (units, units), h0 (batch, units)[, lengths (batch)] → RnnRecord
  TensorType infer(const Signature& node) const override {
    expect_recurrent_inputs(name(), node, 3);
    const RecurrentShape s = recurrent_shape(name(), node, gate_count);
    expect_shape(name(), node, 2, "h0", {s.batch, s.units});
    if (node.count() == 4) expect_shape(name(), node, 3, "lengths", {s.batch});
    is_relu(name(), node.attributes);
    return {node.input(0).dtype, Shape{RnnRecord(s).layout.size()}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const RecurrentInputs inputs = inputs_of(node, gate_count, 3);
    const bool relu = is_relu(name(), node.attributes);
    Routine routine;
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      using Blocks = kernels::Recurrence<T>;
      run_recurrence<T>(routine, inputs.shape, Blocks::Direction::Forward, {}, 1,
                        [inputs, relu, record = RnnRecord(inputs.shape)](const Blocks& blocks,
                                                                         const Frame& frame, int64_t task) {
                          run_forward<T>(inputs, record, relu, blocks, frame, task);
                        });
    });
    return routine;
  }

  void vjp(Vjp& node) const override;
  Value decompose(const std::vector<Value>& inputs, const Attributes& attributes) const override;

 private:
  template <class T>
  static void run_forward(const RecurrentInputs& inputs, const RnnRecord& record, bool relu,
                          const kernels::Recurrence<T>& blocks, const Frame& frame, int64_t task) {
    using Row = typename kernels::Recurrence<T>::Row;
    const RecurrentShape& s = inputs.shape;
    const int64_t units = s.units;
    const Lengths lengths = Lengths::of_inputs(inputs, frame);
    const GatesX<T> x("rnn", inputs, frame);
    const T* h0 = frame.input<T>(2);
    T* out = frame.output<T>();
    if (task == 0) record.layout.clear_gaps(out);
    blocks.run(
        task, frame.input<T>(1), reinterpret_cast<T*>(frame.scratch), {}, {},
        [&](const Row& row) {
          lengths.check("rnn", row.number, frame.status);
          std::copy_n(h0 + row.number * units, units, row.state);
        },
        [&](const Row& row, int64_t t) {
          const int64_t at = (row.number * s.steps + t) * units;
          const kernels::RnnForward<T> step{x.at(row.number, t), row.gates, row.state,
                                            out + record.previous + at, out + record.output + at};
          if (t < lengths.of(row.number)) return kernels::rnn_step(units, relu, step);
          std::copy_n(row.state, units, step.previous);
          std::fill_n(step.output, units, T(0));
        },
        [&](const Row& row) { std::copy_n(row.state, units, out + record.last_h + row.number * units); });
  }
};

// The way back. Gradients that nothing needs are not among the inputs; flags say which are.
class RnnGradient final : public Op {
 public:
  const char* name() const override { return "rnn_gradient"; }

  // RnnRecord, weight (units, units), h0 (batch, units), then as the flags say the gradients of output
  // (batch, steps, units) and last_h (batch, units), and lengths (batch) → RnnGradients
  TensorType infer(const Signature& node) const override {
    const OptionalInputs given = optional(node.attributes);
    given.expect_dtypes(name(), node);
    const RecurrentShape s = shape_of(node);
    expect_shape(name(), node, 0, "the record", {RnnRecord(s).layout.size()});
    given.expect_shape_of(name(), node, "output", {s.batch, s.steps, s.units});
    given.expect_shape_of(name(), node, "last_h", {s.batch, s.units});
    given.expect_shape_of(name(), node, "lengths", {s.batch});
    is_relu(name(), node.attributes);
    return {node.input(0).dtype, Shape{RnnGradients(s).layout.size()}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const RecurrentShape s = shape_of(node);
    const bool relu = is_relu(name(), node.attributes);
    Routine routine;
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      using Blocks = kernels::Recurrence<T>;
      run_recurrence<T>(
          routine, s, Blocks::Direction::Backward, {}, 0.5,
          [s, relu, record = RnnRecord(s), gradients = RnnGradients(s), given = optional(node.attributes)](
              const Blocks& blocks, const Frame& frame, int64_t task) {
            run_backward<T>(s, record, gradients, given, relu, blocks, frame, task);
          });
    });
    return routine;
  }

  Value decompose(const std::vector<Value>& inputs, const Attributes& attributes) const override;

 private:
  static OptionalInputs optional(const Attributes& attributes) {
    return {attributes, 3, {"output", "last_h", "lengths"}};
  }

  RecurrentShape shape_of(const Signature& node) const {
    return recurrent_shape_of_states(name(), node, gate_count, 1, 2);
  }

  template <class T>
  static void run_backward(const RecurrentShape& s, const RnnRecord& record, const RnnGradients& gradients,
                           const OptionalInputs& given, bool relu, const kernels::Recurrence<T>& blocks,
                           const Frame& frame, int64_t task) {
    using Row = typename kernels::Recurrence<T>::Row;
    const int64_t units = s.units;
    const Lengths lengths{given.pointer<int64_t>(frame, "lengths"), s.steps};
    const T* saved = frame.input<T>(0);
    const T *seed = given.pointer<T>(frame, "output"), *last_h = given.pointer<T>(frame, "last_h");
    T* out = frame.output<T>();
    if (task == 0) gradients.layout.clear_gaps(out);
    blocks.run(
        task, frame.input<T>(1), reinterpret_cast<T*>(frame.scratch), {}, {},
        [&](const Row& row) { lengths.check("rnn_gradient", row.number, frame.status); },
        [&](const Row& row, int64_t t) {
          const int64_t at = (row.number * s.steps + t) * units, length = lengths.of(row.number);
          T* gradient = out + gradients.gates + at;
          if (t < length) {
            const T* last = last_h == nullptr ? nullptr : last_h + row.number * units;
            return kernels::rnn_step_back<T>(
                units, relu,
                {seed == nullptr ? nullptr : seed + at, t == length - 1 ? last : row.state,
                 saved + record.output + at, gradient, row.gates});
          }
          for (T* zero : {gradient, row.gates}) std::fill_n(zero, units, T(0));
        },
        [&](const Row& row) { std::copy_n(row.state, units, out + gradients.h0 + row.number * units); });
  }
};

void Rnn::vjp(Vjp& node) const {
  const Value x = node.input(0), weight = node.input(1), h0 = node.input(2);
  const RecurrentShape s{x.shape()[0], x.shape()[1], weight.shape()[0], gate_count};
  const RnnRecord record(s);
  const Value seed = node.seed();
  if (const Value previous = part(seed, record.previous, x.shape()); !node.graph().is_zero(previous.id()))
    return Op::vjp(node);  // derivatives of derivatives

  BackwardCall back({node.output(), weight, h0}, s.steps);
  back.set("activation", node.attributes().text("activation"));
  back.pass("output", part(seed, record.output, x.shape()));
  back.pass("last_h", part(seed, record.last_h, h0.shape()));
  if (node.count() == 4) back.pass("lengths", node.input(3));
  const Value found = back.add("rnn_gradient");
  const RnnGradients gradients(s);
  const Value gates = part(found, gradients.gates, x.shape());
  node.set(0, gates);
  if (node.needs(1)) node.set(1, weight_gradient(part(node.output(), record.previous, x.shape()), gates));
  node.set(2, part(found, gradients.h0, h0.shape()));
}

Value Rnn::decompose(const std::vector<Value>& inputs, const Attributes& attributes) const {
  const Value x = inputs[0], weight = inputs[1];
  const RecurrentShape s{x.shape()[0], x.shape()[1], weight.shape()[0], gate_count};
  const std::string& activation = attributes.text("activation");
  const StepMask mask({inputs.begin() + 3, inputs.end()});
  Value h = inputs[2];
  std::vector<Value> output, previous;
  for (int64_t t = 0; t < s.steps; ++t) {
    const Value next = apply(activation.c_str(), {at_step(x, t) + product(h, weight)});
    previous.push_back(h);
    output.push_back(mask.or_zero(t, next));
    h = mask.choose(t, next, h);
  }
  return as_record({join_steps(output), h, join_steps(previous)});
}

Value RnnGradient::decompose(const std::vector<Value>& inputs, const Attributes& attributes) const {
  const Value saved = inputs[0], weight = inputs[1], h0 = inputs[2];
  const RecurrentShape s{h0.shape()[0], attributes.integer("steps"), weight.shape()[0], gate_count};
  const OptionalInputs given = optional(attributes);
  const Value output = part(saved, RnnRecord(s).output, {s.batch, s.steps, s.units});
  const Value seed = given.value(inputs, "output", zeros_like(output));
  const StepMask mask(given.lengths(inputs));
  Value dh = given.value(inputs, "last_h", zeros_like(h0));
  std::vector<Value> gradients;
  for (int64_t t = s.steps - 1; t >= 0; --t) {
    const Value sum =
        activation_gradient(attributes.text("activation"), dh + at_step(seed, t), at_step(output, t));
    gradients.insert(gradients.begin(), mask.or_zero(t, sum));
    dh = mask.choose(t, product(sum, weight, false, true), dh);
  }
  return as_record({join_steps(gradients), dh});
}

}  // namespace

void add_rnn_ops(OpList& ops) {
  ops.push_back(std::make_unique<Rnn>());
  ops.push_back(std::make_unique<RnnGradient>());
}

}  // namespace bpcore
