// lstm: a long short-term memory over a whole sequence, and its way back.
//
//   i = σ(x_i + h W_i)   f = σ(x_f + h W_f)   g = tanh(x_g + h W_g)   o = σ(x_o + h W_o)
//   c' = f c + i g       h' = o tanh(c')
//
// S. Hochreiter and J. Schmidhuber, Long short-term memory (1997), with the forget gate of F. Gers et al.
// (2000).
#include "kernels/recurrent_cells.h"

#include "graph/autodiff.h"
#include "ops/op_list.h"
#include "ops/record.h"
#include "ops/recurrence/recurrent.h"
#include "ops/recurrence/unrolled.h"

namespace bpcore {

namespace {

constexpr int64_t gate_count = 4;

// What comes out: the first three are for all to see, the others are what the way back reads. Cells and gates
// lie in the order in which they are made and read, step by step.
struct LstmRecord {
  RecordLayout layout;
  int64_t output, last_h, last_c;  // (batch, steps, units), (batch, units), (batch, units)
  int64_t previous;                // (batch, steps, units): h before each step
  int64_t cells, gates;            // (steps, batch, units): c after each step; (steps, batch, 4 · units)

  explicit LstmRecord(const RecurrentShape& s) {
    const int64_t states = s.batch * s.units, all = states * s.steps;
    output = layout.add(all);
    last_h = layout.add(states);
    last_c = layout.add(states);
    previous = layout.add(all);
    cells = layout.add(all);
    gates = layout.add(gate_count * all);
  }
};

// What comes out of the way back: gradients of gates_x (batch, steps, 4 · units), h0 and c0 (batch, units).
struct LstmGradients {
  RecordLayout layout;
  int64_t gates, h0, c0;

  explicit LstmGradients(const RecurrentShape& s) {
    const int64_t states = s.batch * s.units;
    gates = layout.add(gate_count * states * s.steps);
    h0 = layout.add(states);
    c0 = layout.add(states);
  }
};

class Lstm final : public RecurrentOp {
 public:
  const char* name() const override { return "lstm"; }

  // gates_x (batch, steps, 4 · units), weight (units, 4 · units), h0, c0 (batch, units)[, lengths (batch)]
  // → LstmRecord
  TensorType infer(const Signature& node) const override {
    expect_recurrent_inputs(name(), node, 4);
    const RecurrentShape s = recurrent_shape(name(), node, gate_count);
    expect_shape(name(), node, 2, "h0", {s.batch, s.units});
    expect_shape(name(), node, 3, "c0", {s.batch, s.units});
    if (node.count() == 5) expect_shape(name(), node, 4, "lengths", {s.batch});
    return {node.input(0).dtype, Shape{LstmRecord(s).layout.size()}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const RecurrentInputs inputs = inputs_of(node, gate_count, 4);
    Routine routine;
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      using Blocks = kernels::Recurrence<T>;
      run_recurrence<T>(routine, inputs.shape, Blocks::Direction::Forward, {0, inputs.shape.wide()}, 4,
                        [inputs, record = LstmRecord(inputs.shape)](const Blocks& blocks, const Frame& frame,
                                                                    int64_t task) {
                          run_forward<T>(inputs, record, blocks, frame, task);
                        });
    });
    return routine;
  }

  void vjp(Vjp& node) const override;
  Value decompose(const std::vector<Value>& inputs, const Attributes& attributes) const override;

 private:
  template <class T>
  static void run_forward(const RecurrentInputs& inputs, const LstmRecord& record,
                          const kernels::Recurrence<T>& blocks, const Frame& frame, int64_t task) {
    using Row = typename kernels::Recurrence<T>::Row;
    const RecurrentShape& s = inputs.shape;
    const int64_t units = s.units;
    const Lengths lengths = Lengths::of_inputs(inputs, frame);
    const GatesX<T> x("lstm", inputs, frame);
    const T *h0 = frame.input<T>(2), *c0 = frame.input<T>(3);
    T* out = frame.output<T>();
    if (task == 0) record.layout.clear_gaps(out);
    blocks.run(
        task, frame.input<T>(1), reinterpret_cast<T*>(frame.scratch), {nullptr, out + record.gates}, x.read(),
        [&](const Row& row) {
          lengths.check("lstm", row.number, frame.status);
          std::copy_n(h0 + row.number * units, units, row.state);
        },
        [&](const Row& row, int64_t t) {
          const int64_t at = (row.number * s.steps + t) * units, kept = (t * s.batch + row.number) * units;
          T* next_cell = out + record.cells + kept;
          const T* cell = t == 0 ? c0 + row.number * units : next_cell - s.batch * units;
          const kernels::LstmForward<T> step{x.at(row.number, t),        cell,      row.state,
                                             out + record.previous + at, row.gates, next_cell,
                                             out + record.output + at};
          if (t < lengths.of(row.number)) return kernels::lstm_step(units, step);
          std::copy_n(row.state, units, step.previous);
          std::copy_n(cell, units, step.next_cell);
          std::fill_n(step.gates, gate_count * units, T(0));
          std::fill_n(step.output, units, T(0));
        },
        [&](const Row& row) {
          std::copy_n(row.state, units, out + record.last_h + row.number * units);
          std::copy_n(out + record.cells + ((s.steps - 1) * s.batch + row.number) * units, units,
                      out + record.last_c + row.number * units);
        });
  }
};

// The way back. Gradients that nothing needs are not among the inputs; flags say which are.
class LstmGradient final : public Op {
 public:
  const char* name() const override { return "lstm_gradient"; }

  // LstmRecord, weight (units, 4 · units), c0 (batch, units), then as the flags say the gradients of output
  // (batch, steps, units), last_h and last_c (batch, units), and lengths (batch) → LstmGradients
  TensorType infer(const Signature& node) const override {
    const OptionalInputs given = optional(node.attributes);
    given.expect_dtypes(name(), node);
    const RecurrentShape s = shape_of(node);
    expect_shape(name(), node, 0, "the record", {LstmRecord(s).layout.size()});
    given.expect_shape_of(name(), node, "output", {s.batch, s.steps, s.units});
    given.expect_shape_of(name(), node, "last_h", {s.batch, s.units});
    given.expect_shape_of(name(), node, "last_c", {s.batch, s.units});
    given.expect_shape_of(name(), node, "lengths", {s.batch});
    return {node.input(0).dtype, Shape{LstmGradients(s).layout.size()}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const RecurrentShape s = shape_of(node);
    Routine routine;
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      using Blocks = kernels::Recurrence<T>;
      run_recurrence<T>(
          routine, s, Blocks::Direction::Backward, {}, 2,
          [s, record = LstmRecord(s), gradients = LstmGradients(s), given = optional(node.attributes)](
              const Blocks& blocks, const Frame& frame, int64_t task) {
            run_backward<T>(s, record, gradients, given, blocks, frame, task);
          });
    });
    return routine;
  }

  Value decompose(const std::vector<Value>& inputs, const Attributes& attributes) const override;

 private:
  static OptionalInputs optional(const Attributes& attributes) {
    return {attributes, 3, {"output", "last_h", "last_c", "lengths"}};
  }

  RecurrentShape shape_of(const Signature& node) const {
    return recurrent_shape_of_states(name(), node, gate_count, 1, 2);
  }

  template <class T>
  static void run_backward(const RecurrentShape& s, const LstmRecord& record, const LstmGradients& gradients,
                           const OptionalInputs& given, const kernels::Recurrence<T>& blocks,
                           const Frame& frame, int64_t task) {
    using Row = typename kernels::Recurrence<T>::Row;
    const int64_t units = s.units;
    const Lengths lengths{given.pointer<int64_t>(frame, "lengths"), s.steps};
    const T *saved = frame.input<T>(0), *c0 = frame.input<T>(2);
    const T *seed = given.pointer<T>(frame, "output"), *last_h = given.pointer<T>(frame, "last_h"),
            *last_c = given.pointer<T>(frame, "last_c");
    T* out = frame.output<T>();
    if (task == 0) gradients.layout.clear_gaps(out);
    blocks.run(
        task, frame.input<T>(1), reinterpret_cast<T*>(frame.scratch), {},
        {saved + record.gates, s.wide(), s.batch * s.wide(), s.wide()},
        [&](const Row& row) {
          lengths.check("lstm_gradient", row.number, frame.status);
          if (last_c != nullptr)
            std::copy_n(last_c + row.number * units, units, row.own);
          else
            std::fill_n(row.own, units, T(0));
        },
        [&](const Row& row, int64_t t) {
          const int64_t at = (row.number * s.steps + t) * units, kept = (t * s.batch + row.number) * units;
          const int64_t length = lengths.of(row.number);
          T* gradient = out + gradients.gates + gate_count * at;
          if (t >= length) {
            std::fill_n(gradient, gate_count * units, T(0));
            std::fill_n(row.gates, gate_count * units, T(0));
            return;
          }
          const T* last = last_h == nullptr ? nullptr : last_h + row.number * units;
          kernels::lstm_step_back<T>(
              units, {seed == nullptr ? nullptr : seed + at, t == length - 1 ? last : row.state,
                      saved + record.gates + gate_count * kept,
                      t == 0 ? c0 + row.number * units : saved + record.cells + kept - s.batch * units,
                      saved + record.cells + kept, row.own, gradient, row.gates});
        },
        [&](const Row& row) {
          std::copy_n(row.state, units, out + gradients.h0 + row.number * units);
          std::copy_n(row.own, units, out + gradients.c0 + row.number * units);
        });
  }
};

void Lstm::vjp(Vjp& node) const {
  const Value x = node.input(0), weight = node.input(1), c0 = node.input(3);
  const Shape &shape = x.shape(), &states = c0.shape();
  const RecurrentShape s{shape[0], shape[1], weight.shape()[0], gate_count};
  const LstmRecord record(s);
  const Shape all{s.batch, s.steps, s.units};
  const int64_t rows = s.steps * s.batch;
  const auto given = [&](const Value& value) { return !node.graph().is_zero(value.id()); };
  const Value seed = node.seed();
  if (given(part(seed, record.previous, all)) || given(part(seed, record.cells, {rows, s.units})) ||
      given(part(seed, record.gates, {rows, s.wide()})))
    return Op::vjp(node);  // derivatives of derivatives

  BackwardCall back({node.output(), weight, c0}, s.steps);
  back.pass("output", part(seed, record.output, all));
  back.pass("last_h", part(seed, record.last_h, states));
  back.pass("last_c", part(seed, record.last_c, states));
  if (node.count() == 5) back.pass("lengths", node.input(4));
  const Value found = back.add("lstm_gradient");
  const LstmGradients gradients(s);
  const Value gates = part(found, gradients.gates, shape);
  node.set(0, gates);
  if (node.needs(1)) node.set(1, weight_gradient(part(node.output(), record.previous, all), gates));
  node.set(2, part(found, gradients.h0, states));
  node.set(3, part(found, gradients.c0, states));
}

Value Lstm::decompose(const std::vector<Value>& inputs, const Attributes&) const {
  const Value x = inputs[0], weight = inputs[1];
  const RecurrentShape s{x.shape()[0], x.shape()[1], weight.shape()[0], gate_count};
  const StepMask mask({inputs.begin() + 4, inputs.end()});
  Value h = inputs[2], c = inputs[3];
  std::vector<Value> output, previous, cells, gates;
  for (int64_t t = 0; t < s.steps; ++t) {
    const Value sum = at_step(x, t) + product(h, weight);
    const auto gate = [&](int64_t number, const char* activation) {
      return apply(activation, {columns_of(sum, number * s.units, s.units)});
    };
    const Value i = gate(0, "sigmoid"), f = gate(1, "sigmoid"), g = gate(2, "tanh"), o = gate(3, "sigmoid");
    const Value next = f * c + i * g, next_h = o * apply("tanh", {next});
    previous.push_back(h);
    gates.push_back(mask.or_zero(t, join_columns({i, f, g, o})));
    output.push_back(mask.or_zero(t, next_h));
    h = mask.choose(t, next_h, h);
    c = mask.choose(t, next, c);
    cells.push_back(c);
  }
  return as_record({join_steps(output), h, c, join_steps(previous), join_rows(cells), join_rows(gates)});
}

Value LstmGradient::decompose(const std::vector<Value>& inputs, const Attributes& attributes) const {
  const Value saved = inputs[0], weight = inputs[1], c0 = inputs[2];
  const RecurrentShape s{c0.shape()[0], attributes.integer("steps"), weight.shape()[0], gate_count};
  const LstmRecord record(s);
  const OptionalInputs given = optional(attributes);
  const int64_t rows = s.steps * s.batch;
  const Value cells = part(saved, record.cells, {rows, s.units});
  const Value gates = part(saved, record.gates, {rows, s.wide()});
  const Shape all{s.batch, s.steps, s.units};
  const Value seed = given.value(inputs, "output", zeros(saved.graph(), {saved.dtype(), all}));
  const StepMask mask(given.lengths(inputs));
  Value dh = given.value(inputs, "last_h", zeros_like(c0)),
        dc = given.value(inputs, "last_c", zeros_like(c0));
  std::vector<Value> gradients;
  for (int64_t t = s.steps - 1; t >= 0; --t) {
    const auto gate = [&](int64_t number) {
      return columns_of(rows_of_step(gates, t, s.batch), number * s.units, s.units);
    };
    const auto cell = [&](int64_t step) { return rows_of_step(cells, step, s.batch); };
    const Value i = gate(0), f = gate(1), g = gate(2), o = gate(3);
    const Value before = t == 0 ? c0 : cell(t - 1), tanh_c = apply("tanh", {cell(t)});
    const Value total = dh + at_step(seed, t), inner = dc + total * o * (1 - tanh_c * tanh_c);
    const Value of_gates = join_columns({inner * g * i * (1 - i), inner * before * f * (1 - f),
                                         inner * i * (1 - g * g), total * tanh_c * o * (1 - o)});
    gradients.insert(gradients.begin(), mask.or_zero(t, of_gates));
    dh = mask.choose(t, product(of_gates, weight, false, true), dh);
    dc = mask.choose(t, inner * f, dc);
  }
  return as_record({join_steps(gradients), dh, dc});
}

}  // namespace

void add_lstm_ops(OpList& ops) {
  ops.push_back(std::make_unique<Lstm>());
  ops.push_back(std::make_unique<LstmGradient>());
}

}  // namespace bpcore
