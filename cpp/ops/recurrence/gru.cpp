// gru: gated recurrent units over a whole sequence, and their way back.
//
//   r = σ(x_r + h W_r)   z = σ(x_z + h W_z)   n = tanh(x_n + r (h W_n + b))   h' = (1 - z) n + z h
//
// K. Cho et al., Learning phrase representations using RNN encoder-decoder for statistical machine
// translation (2014); with the reset gate after the recurrent product, as in cuDNN.
#include "kernels/recurrent_cells.h"

#include "graph/autodiff.h"
#include "ops/op_list.h"
#include "ops/record.h"
#include "ops/recurrence/recurrent.h"
#include "ops/recurrence/unrolled.h"

namespace bpcore {

namespace {

constexpr int64_t gate_count = 3;

// What is kept for the way back lies in the order in which it is made and read, step by step. Of each row:
constexpr int64_t kept_gates = 4;  // r, z, h W_n + b, n

// What comes out: the first two are for all to see, the others are what the way back reads.
struct GruRecord {
  RecordLayout layout;
  int64_t output, last_h;   // (batch, steps, units), (batch, units)
  int64_t previous, gates;  // h before each step (steps, batch, units), and (steps, batch, 4 · units)

  explicit GruRecord(const RecurrentShape& s) {
    const int64_t states = s.batch * s.units, all = states * s.steps;
    output = layout.add(all);
    last_h = layout.add(states);
    previous = layout.add(all);
    gates = layout.add(kept_gates * all);
  }
};

// What comes out of the way back: gradients of gates_x (batch, steps, 3 · units) and of the state's part of
// the gates (steps, batch, 3 · units), which differ in n by the factor r; of h0, and of the bias by each row
// (batch, units).
struct GruGradients {
  RecordLayout layout;
  int64_t gates, recurrent, h0, bias;

  explicit GruGradients(const RecurrentShape& s) {
    const int64_t states = s.batch * s.units;
    gates = layout.add(gate_count * states * s.steps);
    recurrent = layout.add(gate_count * states * s.steps);
    h0 = layout.add(states);
    bias = layout.add(states);
  }
};

class Gru final : public RecurrentOp {
 public:
  const char* name() const override { return "gru"; }

  // gates_x (batch, steps, 3 · units), weight (units, 3 · units), bias (units), h0 (batch, units)[, lengths
  // (batch)] → GruRecord
  TensorType infer(const Signature& node) const override {
    expect_recurrent_inputs(name(), node, 4);
    const RecurrentShape s = recurrent_shape(name(), node, gate_count);
    expect_shape(name(), node, 2, "the bias", {s.units});
    expect_shape(name(), node, 3, "h0", {s.batch, s.units});
    if (node.count() == 5) expect_shape(name(), node, 4, "lengths", {s.batch});
    return {node.input(0).dtype, Shape{GruRecord(s).layout.size()}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const RecurrentInputs inputs = inputs_of(node, gate_count, 4);
    Routine routine;
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      using Blocks = kernels::Recurrence<T>;
      run_recurrence<T>(
          routine, inputs.shape, Blocks::Direction::Forward,
          {inputs.shape.units, kept_gates * inputs.shape.units}, 3,
          [inputs, record = GruRecord(inputs.shape)](const Blocks& blocks, const Frame& frame, int64_t task) {
            run_forward<T>(inputs, record, blocks, frame, task);
          });
    });
    return routine;
  }

  void vjp(Vjp& node) const override;
  Value decompose(const std::vector<Value>& inputs, const Attributes& attributes) const override;

 private:
  template <class T>
  static void run_forward(const RecurrentInputs& inputs, const GruRecord& record,
                          const kernels::Recurrence<T>& blocks, const Frame& frame, int64_t task) {
    using Row = typename kernels::Recurrence<T>::Row;
    const RecurrentShape& s = inputs.shape;
    const int64_t units = s.units;
    const Lengths lengths = Lengths::of_inputs(inputs, frame);
    const GatesX<T> x("gru", inputs, frame);
    const T *bias = frame.input<T>(2), *h0 = frame.input<T>(3);
    T* out = frame.output<T>();
    if (task == 0) record.layout.clear_gaps(out);
    blocks.run(
        task, frame.input<T>(1), reinterpret_cast<T*>(frame.scratch),
        {out + record.previous, out + record.gates}, x.read(),
        [&](const Row& row) {
          lengths.check("gru", row.number, frame.status);
          std::copy_n(h0 + row.number * units, units, row.state);
        },
        [&](const Row& row, int64_t t) {
          const int64_t at = (row.number * s.steps + t) * units;
          T* next = t + 1 == s.steps ? out + record.last_h + row.number * units : row.state + s.batch * units;
          T* output = out + record.output + at;
          if (t < lengths.of(row.number))
            return kernels::gru_step<T>(units,
                                        {x.at(row.number, t), bias, row.state, row.gates, next, output});
          std::copy_n(row.state, units, next);
          std::fill_n(row.gates, kept_gates * units, T(0));
          std::fill_n(output, units, T(0));
        },
        [](const Row&) {});
  }
};

// The way back. Gradients that nothing needs are not among the inputs; flags say which are.
class GruGradient final : public Op {
 public:
  const char* name() const override { return "gru_gradient"; }

  // GruRecord, weight (units, 3 · units), h0 (batch, units), then as the flags say the gradients of output
  // (batch, steps, units) and last_h (batch, units), and lengths (batch) → GruGradients
  TensorType infer(const Signature& node) const override {
    const OptionalInputs given = optional(node.attributes);
    given.expect_dtypes(name(), node);
    const RecurrentShape s = shape_of(node);
    expect_shape(name(), node, 0, "the record", {GruRecord(s).layout.size()});
    given.expect_shape_of(name(), node, "output", {s.batch, s.steps, s.units});
    given.expect_shape_of(name(), node, "last_h", {s.batch, s.units});
    given.expect_shape_of(name(), node, "lengths", {s.batch});
    return {node.input(0).dtype, Shape{GruGradients(s).layout.size()}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const RecurrentShape s = shape_of(node);
    Routine routine;
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      using Blocks = kernels::Recurrence<T>;
      run_recurrence<T>(
          routine, s, Blocks::Direction::Backward, {0, s.wide()}, 1.5,
          [s, record = GruRecord(s), gradients = GruGradients(s), given = optional(node.attributes)](
              const Blocks& blocks, const Frame& frame, int64_t task) {
            run_backward<T>(s, record, gradients, given, blocks, frame, task);
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
  static void run_backward(const RecurrentShape& s, const GruRecord& record, const GruGradients& gradients,
                           const OptionalInputs& given, const kernels::Recurrence<T>& blocks,
                           const Frame& frame, int64_t task) {
    using Row = typename kernels::Recurrence<T>::Row;
    const int64_t units = s.units;
    const Lengths lengths{given.pointer<int64_t>(frame, "lengths"), s.steps};
    const T* saved = frame.input<T>(0);
    const T *seed = given.pointer<T>(frame, "output"), *last_h = given.pointer<T>(frame, "last_h");
    T* out = frame.output<T>();
    if (task == 0) gradients.layout.clear_gaps(out);
    blocks.run(
        task, frame.input<T>(1), reinterpret_cast<T*>(frame.scratch), {nullptr, out + gradients.recurrent},
        {saved + record.gates, kept_gates * units, s.batch * kept_gates * units, kept_gates * units},
        [&](const Row& row) {
          lengths.check("gru_gradient", row.number, frame.status);
          std::fill_n(row.state, units, T(0));
          std::fill_n(out + gradients.bias + row.number * units, units, T(0));
          if (last_h != nullptr)
            std::copy_n(last_h + row.number * units, units, row.own);
          else
            std::fill_n(row.own, units, T(0));
        },
        [&](const Row& row, int64_t t) {
          const int64_t at = (row.number * s.steps + t) * units, kept = (t * s.batch + row.number) * units;
          T* gradient = out + gradients.gates + gate_count * at;
          if (t < lengths.of(row.number))
            return kernels::gru_step_back<T>(
                units, {seed == nullptr ? nullptr : seed + at, row.state,
                        saved + record.gates + kept_gates * kept, saved + record.previous + kept, row.own,
                        out + gradients.bias + row.number * units, gradient, row.gates});
          for (T* zero : {gradient, row.gates}) std::fill_n(zero, gate_count * units, T(0));
        },
        [&](const Row& row) {
          T* h0 = out + gradients.h0 + row.number * units;
          for (int64_t j = 0; j < units; ++j) h0[j] = row.state[j] + row.own[j];
        });
  }
};

void Gru::vjp(Vjp& node) const {
  const Value x = node.input(0), weight = node.input(1), h0 = node.input(3);
  const Shape &shape = x.shape(), &states = h0.shape();
  const RecurrentShape s{shape[0], shape[1], weight.shape()[0], gate_count};
  const GruRecord record(s);
  const Shape all{s.batch, s.steps, s.units};
  const auto given = [&](const Value& value) { return !node.graph().is_zero(value.id()); };
  const Value seed = node.seed();
  const Shape previous{s.steps, s.batch, s.units};
  if (given(part(seed, record.previous, previous)) ||
      given(part(seed, record.gates, {s.steps, s.batch, kept_gates * s.units})))
    return Op::vjp(node);  // derivatives of derivatives

  BackwardCall back({node.output(), weight, h0}, s.steps);
  back.pass("output", part(seed, record.output, all));
  back.pass("last_h", part(seed, record.last_h, states));
  if (node.count() == 5) back.pass("lengths", node.input(4));
  const Value found = back.add("gru_gradient");
  const GruGradients gradients(s);
  node.set(0, part(found, gradients.gates, shape));
  if (node.needs(1))
    node.set(1, weight_gradient(part(node.output(), record.previous, previous),
                                part(found, gradients.recurrent, {s.steps, s.batch, s.wide()})));
  if (node.needs(2)) node.set(2, sum(part(found, gradients.bias, states), {0}));
  node.set(3, part(found, gradients.h0, states));
}

Value Gru::decompose(const std::vector<Value>& inputs, const Attributes&) const {
  const Value x = inputs[0], weight = inputs[1], bias = inputs[2];
  const RecurrentShape s{x.shape()[0], x.shape()[1], weight.shape()[0], gate_count};
  const StepMask mask({inputs.begin() + 4, inputs.end()});
  Value h = inputs[3];
  std::vector<Value> output, previous, gates;
  for (int64_t t = 0; t < s.steps; ++t) {
    const Value by_input = at_step(x, t), by_state = product(h, weight);
    const auto sum_of = [&](int64_t gate) {
      return columns_of(by_input, gate * s.units, s.units) + columns_of(by_state, gate * s.units, s.units);
    };
    const Value r = apply("sigmoid", {sum_of(0)}), z = apply("sigmoid", {sum_of(1)});
    const Value inner = columns_of(by_state, 2 * s.units, s.units) + bias;
    const Value n = apply("tanh", {columns_of(by_input, 2 * s.units, s.units) + r * inner});
    const Value next = (1 - z) * n + z * h;
    previous.push_back(h);
    gates.push_back(mask.or_zero(t, join_columns({r, z, inner, n})));
    output.push_back(mask.or_zero(t, next));
    h = mask.choose(t, next, h);
  }
  return as_record({join_steps(output), h, join_rows(previous), join_rows(gates)});
}

Value GruGradient::decompose(const std::vector<Value>& inputs, const Attributes& attributes) const {
  const Value saved = inputs[0], weight = inputs[1], h0 = inputs[2];
  const RecurrentShape s{h0.shape()[0], attributes.integer("steps"), weight.shape()[0], gate_count};
  const GruRecord record(s);
  const OptionalInputs given = optional(attributes);
  const int64_t rows = s.steps * s.batch;
  const Value previous = part(saved, record.previous, {rows, s.units});
  const Value gates = part(saved, record.gates, {rows, kept_gates * s.units});
  const Value seed =
      given.value(inputs, "output", zeros(saved.graph(), {saved.dtype(), {s.batch, s.steps, s.units}}));
  const StepMask mask(given.lengths(inputs));
  Value dh = given.value(inputs, "last_h", zeros_like(h0)), bias = zeros_like(h0);
  std::vector<Value> by_input, by_state;
  for (int64_t t = s.steps - 1; t >= 0; --t) {
    const auto gate = [&](int64_t number) {
      return columns_of(rows_of_step(gates, t, s.batch), number * s.units, s.units);
    };
    const Value r = gate(0), z = gate(1), inner = gate(2), n = gate(3),
                before = rows_of_step(previous, t, s.batch);
    const Value total = dh + at_step(seed, t);
    const Value dz = total * (before - n) * z * (1 - z), dn = total * (1 - z) * (1 - n * n);
    const Value dr = dn * inner * r * (1 - r);
    const Value recurrent = join_columns({dr, dz, dn * r});
    by_input.insert(by_input.begin(), mask.or_zero(t, join_columns({dr, dz, dn})));
    by_state.insert(by_state.begin(), mask.or_zero(t, recurrent));
    dh = mask.choose(t, product(recurrent, weight, false, true) + total * z, dh);
    bias = mask.choose(t, bias + dn * r, bias);
  }
  return as_record({join_steps(by_input), join_rows(by_state), dh, bias});
}

}  // namespace

void add_gru_ops(OpList& ops) {
  ops.push_back(std::make_unique<Gru>());
  ops.push_back(std::make_unique<GruGradient>());
}

}  // namespace bpcore
