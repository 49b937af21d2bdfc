// Every optimizer's pass over its parameters, on one core, as share of a copy's bandwidth.
#include "optim/optimizer.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/error.h"
#include "peak.h"
#include "suites.h"
#include "turns.h"

namespace bpcore::benchmarks {

namespace {

struct Case {
  const char* label;
  const char* optimizer;
  Hyper hyper;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"sgd", "sgd", {{"momentum", 0}, {"nesterov", 0}, {"weight_decay", 0}}},
      {"momentum", "sgd", {{"momentum", 0.9}, {"nesterov", 0}, {"weight_decay", 0}}},
      {"adam", "adam", {{"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}, {"weight_decay", 0}}},
  };
  return all;
}

void measure(benchmark::State& state, const Case& which, int64_t elements) {
  const auto optimizer = make_optimizer(which.optimizer, which.hyper, elements, DType::Float32);
  const Buffer parameters(static_cast<size_t>(elements) * sizeof(float));
  const Buffer gradients(static_cast<size_t>(elements) * sizeof(float));
  std::fill_n(gradients.as<float>(), elements, 0.01f);

  // Parameters and slots are read and written, gradients are read.
  const auto slots = static_cast<int64_t>(optimizer->slots().size());
  const auto bytes = static_cast<double>((3 + 2 * slots) * elements * static_cast<int64_t>(sizeof(float)));
  // A copy in as much memory, which therefore lies in the same cache.
  Copy copy((2 + slots) * elements * static_cast<int64_t>(sizeof(float)));
  const auto pass = [&] {
    optimizer->begin_step(1e-3);
    for (int64_t begin = 0; begin < elements; begin += update_elements)
      optimizer->update(parameters.data(), gradients.data(), begin,
                        std::min(begin + update_elements, elements));
    benchmark::ClobberMemory();
  };
  const Turns turns = take_turns(state, bytes, 1, pass, [&] { return copy.bandwidth(); });
  state.counters["ns a parameter"] = turns.seconds / static_cast<double>(elements) * 1e9;
  state.counters["GB/s"] = bytes / turns.seconds / 1e9;
  state.counters["of copy"] = turns.share;
}

}  // namespace

void add_optimizer_benchmarks() {
  for (const Case& which : cases())
    for (const int64_t elements : {10'000, 1'000'000, 100'000'000})
      add_turns(concat("optimizer/", which.label, "/", elements),
                [&which, elements](benchmark::State& state) { measure(state, which, elements); });
}

}  // namespace bpcore::benchmarks
