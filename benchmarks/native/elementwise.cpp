// Elementwise functions, sums and softmax on one core, each as the op that plans run.
#include <random>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/error.h"
#include "graph/op.h"
#include "peak.h"
#include "suites.h"
#include "turns.h"

namespace bpcore::benchmarks {

namespace {

struct Case {
  const char* op;
  Attributes attributes;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"relu", {}},
      {"exp", {}},
      {"log", {}},
      {"tanh", {}},
      {"sigmoid", {}},
      {"sum", {{"axes", std::vector<int64_t>{0, 1}}, {"keepdims", false}}},
      {"softmax", {{"axis", int64_t{-1}}}},
  };
  return all;
}

// Floats that fit the first and second level of a core's cache, and some that fit neither.
constexpr int64_t elements_of[] = {2 << 10, 64 << 10, 8 << 20};
constexpr int64_t columns = 64;

// One op on `elements` random numbers, a matrix of `columns` columns.
void measure(benchmark::State& state, const Case& which, DType dtype, int64_t elements) {
  const TensorType input{dtype, {elements / columns, columns}};
  const Op& op = find_op(which.op);
  const Signature signature{{input}, which.attributes};
  const TensorType output = op.infer(signature);
  const Routine routine = op.compile(signature, output);

  const Buffer from(static_cast<size_t>(input.bytes())), to(static_cast<size_t>(output.bytes()));
  const Buffer scratch(static_cast<size_t>(routine.scratch_bytes));
  with_float(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::mt19937 random(0);
    std::uniform_real_distribution<T> uniform(T(0.01), 4);
    for (int64_t i = 0; i < elements; ++i) from.as<T>()[i] = uniform(random);
  });
  void* const operands[] = {to.data(), from.data()};
  Status status;
  const Frame frame{operands, scratch.data(), &status, {}};

  const auto bytes = static_cast<double>(input.bytes() + output.bytes());
  Copy copy(input.bytes() + output.bytes());
  const auto all_tasks = [&] {
    for (int64_t task = 0; task < routine.tasks; ++task) routine.run(frame, task);
    benchmark::ClobberMemory();
  };
  const Turns turns = take_turns(state, bytes, 1, all_tasks, [&] { return copy.bandwidth(); });
  state.counters["ns an element"] = turns.seconds / static_cast<double>(elements) * 1e9;
  state.counters["GB/s"] = bytes / turns.seconds / 1e9;
  state.counters["of copy"] = turns.share;
}

}  // namespace

void add_elementwise_benchmarks() {
  for (const DType dtype : {DType::Float32, DType::Float64})
    for (const Case& which : cases())
      for (const int64_t elements : elements_of)
        add_turns(
            concat("elementwise/", which.op, "/", name_of(dtype), "/", elements),
            [&which, dtype, elements](benchmark::State& state) { measure(state, which, dtype, elements); });
}

}  // namespace bpcore::benchmarks
