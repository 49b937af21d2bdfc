#include "op_call.h"

#include <random>

#include "core/error.h"
#include "graph/autodiff.h"
#include "graph/executor.h"
#include "peak.h"
#include "turns.h"

namespace bpcore::benchmarks {

namespace {

// Small, so that what they add up to stays where tanh and the sigmoid function are not flat.
Buffer random_array(const TensorType& type, std::mt19937& random) {
  Buffer array(static_cast<size_t>(type.bytes()));
  std::uniform_real_distribution<float> uniform(-0.1f, 0.1f);
  for (int64_t i = 0; i < type.shape.elements(); ++i) {
    if (type.dtype == DType::Int64)
      array.as<int64_t>()[i] = static_cast<int64_t>(random() % 10);
    else
      array.as<float>()[i] = uniform(random);
  }
  return array;
}

}  // namespace

OpCall::OpCall(Value node) : output_type_(node.type()) {
  const Node& described = node.graph().node(node.id());
  const Signature signature = node.graph().signature(described);
  routine_ = described.op->compile(signature, output_type_);
  scratch_ = Buffer(static_cast<size_t>(routine_.scratch_bytes));

  const Plan plan(node.graph(), described.inputs, {}, false);
  std::mt19937 random(0);
  std::vector<Buffer> given;
  std::vector<const char*> from;
  for (const TensorType& type : plan.inputs()) {
    given.push_back(random_array(type, random));
    from.push_back(given.back().data());
  }
  arrays_.emplace_back(static_cast<size_t>(output_type_.bytes()));
  for (const TensorType& type : signature.inputs) arrays_.emplace_back(static_cast<size_t>(type.bytes()));
  for (const Buffer& array : arrays_) {
    operands_.push_back(array.data());
    bytes_ += static_cast<int64_t>(array.bytes());
  }
  evaluate(plan, nullptr, from, 1, {}, {operands_.begin() + 1, operands_.end()});
}

void OpCall::run() const {
  Status status;
  const Frame frame{operands_.data(), scratch_.data(), &status, {}};
  const Work& work = routine_.for_team(1);
  for (int64_t task = 0; task < work.tasks; ++task) work.run(frame, task);
  benchmark::ClobberMemory();
}

Value float_input(Graph& graph, const Shape& shape) {
  return {graph, graph.input({DType::Float32, shape}, "floats")};
}

Value integer_input(Graph& graph, const Shape& shape) {
  return {graph, graph.input({DType::Int64, shape}, "integers")};
}

Value derivative(Value output, Value input) {
  Graph& graph = output.graph();
  const Value seed = float_input(graph, output.shape());
  NodeId id = gradients(graph, output.id(), {input.id()}, seed.id()).front();
  while (graph.node(id).op->is_view()) id = graph.node(id).inputs.front();
  return {graph, id};
}

Value found(Graph& graph, const char* op) {
  for (NodeId id = 0; id < graph.size(); ++id)
    if (graph.is(id, op)) return {graph, id};
  throw ValueError(concat("benchmarks: there is no ", op));
}

void add_against_peak(const std::string& name, double flops, Described described) {
  add_turns(name, [=](benchmark::State& state) {
    Graph graph;
    const OpCall call(described(graph));
    const Turns turns = take_turns(state, flops, 1, [&] { call.run(); }, fma_peak<float>);
    state.counters["us"] = turns.seconds * 1e6;
    state.counters["GFLOP/s"] = flops / turns.seconds / 1e9;
    state.counters["of peak"] = turns.share;
  });
}

void add_against_copy(const std::string& name, Described described) {
  add_turns(name, [=](benchmark::State& state) {
    Graph graph;
    const OpCall call(described(graph));
    const auto bytes = static_cast<double>(call.bytes());
    Copy copy(call.bytes());
    const Turns turns = take_turns(state, bytes, 1, [&] { call.run(); }, [&] { return copy.bandwidth(); });
    state.counters["us"] = turns.seconds * 1e6;
    state.counters["GB/s"] = bytes / turns.seconds / 1e9;
    state.counters["of copy"] = turns.share;
  });
}

}  // namespace bpcore::benchmarks
