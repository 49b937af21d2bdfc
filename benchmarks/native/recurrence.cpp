// The recurrent layers of the networks in benchmarks/peers/layered_networks.py, one core, as share of the FMA
// peak: the product of state and weight in every step. What a step's activations cost is not part of the
// floor.
#include <string>

#include "core/error.h"
#include "op_call.h"
#include "suites.h"

namespace bpcore::benchmarks {

namespace {

struct Layer {
  const char* op;
  int64_t gates, batch, steps, units;

  double flops() const { return 2.0 * static_cast<double>(batch * steps * gates * units * units); }
  int64_t outputs() const { return batch * steps * units; }
};

constexpr Layer layers[] = {
    {"lstm", 4, 64, 50, 128}, {"gru", 3, 64, 50, 128}, {"lstm", 4, 32, 50, 64}, {"rnn", 1, 32, 50, 64}};

struct Recurrence {
  Value gates_x, weight, output;

  Recurrence(Graph& graph, const Layer& l)
      : gates_x(float_input(graph, {l.batch, l.steps, l.gates * l.units})),
        weight(float_input(graph, {l.units, l.gates * l.units})),
        output(part(record(graph, l), 0, {l.batch, l.steps, l.units})) {}

  Value record(Graph& graph, const Layer& l) const {
    const std::string op = l.op;
    const Value state = float_input(graph, {l.batch, l.units});
    if (op == "lstm") return apply(l.op, {gates_x, weight, state, state});
    if (op == "gru") return apply(l.op, {gates_x, weight, float_input(graph, {l.units}), state});
    return apply(l.op, {gates_x, weight, state}, {{"activation", std::string("tanh")}});
  }
};

}  // namespace

void add_recurrence_benchmarks() {
  for (const Layer& layer : layers) {
    const std::string of =
        concat("/", layer.op, "/units:", layer.units, "/steps:", layer.steps, "/batch:", layer.batch);
    add_against_peak("recurrence/forward" + of, layer.flops(), [layer](Graph& graph) {
      const Recurrence made(graph, layer);
      return found(graph, layer.op);
    });
    add_against_peak("recurrence/input gradient" + of, layer.flops(), [layer](Graph& graph) {
      const Recurrence made(graph, layer);
      return derivative(made.output, made.gates_x);
    });
    add_against_peak("recurrence/weight gradient" + of, layer.flops(), [layer](Graph& graph) {
      const Recurrence made(graph, layer);
      return derivative(made.output, made.weight);  // one product for all steps
    });
  }
}

}  // namespace bpcore::benchmarks
