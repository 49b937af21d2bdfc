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

// Settings of Adam and its relatives.
Hyper moments(Hyper rest) {
  rest.insert({{"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}, {"weight_decay", 0}, {"decoupled", 0}});
  return rest;
}

Hyper rmsprop(double momentum, double centered) {
  return {
      {"alpha", 0.99}, {"eps", 1e-8}, {"weight_decay", 0}, {"momentum", momentum}, {"centered", centered}};
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"sgd", "sgd", {{"momentum", 0}, {"nesterov", 0}, {"weight_decay", 0}}},
      {"momentum", "sgd", {{"momentum", 0.9}, {"nesterov", 0}, {"weight_decay", 0}}},
      {"adam", "adam", moments({{"amsgrad", 0}, {"lazy", 0}})},
      {"amsgrad", "adam", moments({{"amsgrad", 1}, {"lazy", 0}})},
      {"adamax", "adamax", moments({})},
      {"nadam", "nadam", moments({{"momentum_decay", 4e-3}})},
      {"radam", "radam", moments({})},
      {"adagrad",
       "adagrad",
       {{"lr_decay", 0}, {"weight_decay", 0}, {"initial_accumulator_value", 0}, {"eps", 1e-10}}},
      {"adadelta", "adadelta", {{"rho", 0.9}, {"eps", 1e-6}, {"weight_decay", 0}}},
      {"rmsprop", "rmsprop", rmsprop(0, 0)},
      {"rmsprop_centered_momentum", "rmsprop", rmsprop(0.9, 1)},
      {"lion", "lion", {{"beta1", 0.9}, {"beta2", 0.99}, {"weight_decay", 0}}},
      {"rprop", "rprop", {{"eta_minus", 0.5}, {"eta_plus", 1.2}, {"step_min", 1e-6}, {"step_max", 50}}},
      {"lamb", "lamb", {{"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-6}, {"weight_decay", 0}}},
  };
  return all;
}

void measure(benchmark::State& state, const Case& which, int64_t elements) {
  const auto optimizer = make_optimizer({which.optimizer, {which.hyper}, elements, DType::Float32});
  const Buffer parameters(static_cast<size_t>(elements) * sizeof(float));
  const Buffer gradients(static_cast<size_t>(elements) * sizeof(float));
  std::fill_n(gradients.as<float>(), elements, 0.01f);

  // Parameters and slots are read and written, gradients are read.
  const auto slots = static_cast<int64_t>(optimizer->slots().size());
  const auto bytes = static_cast<double>((3 + 2 * slots) * elements * static_cast<int64_t>(sizeof(float)));
  // A copy in as much memory, which therefore lies in the same cache.
  Copy copy((2 + slots) * elements * static_cast<int64_t>(sizeof(float)));
  const double rate = 1e-3;
  const auto* elementwise = dynamic_cast<const ElementwiseOptimizer*>(optimizer.get());
  const auto* tensorwise = dynamic_cast<const TensorwiseOptimizer*>(optimizer.get());
  const auto for_ranges = [&](auto&& work) {
    for (int64_t begin = 0; begin < elements; begin += update_elements)
      work(begin, std::min(begin + update_elements, elements));
  };
  const auto pass = [&] {
    optimizer->begin_step(&rate);
    for_ranges([&](int64_t begin, int64_t end) {
      if (tensorwise != nullptr)
        tensorwise->direct(parameters.data(), gradients.data(), begin, end, 0);
      else
        elementwise->update(parameters.data(), gradients.data(), begin, end, 0);
    });
    if (tensorwise != nullptr)
      for_ranges([&](int64_t begin, int64_t end) {
        tensorwise->move(parameters.data(), gradients.data(), begin, end, 0, 1);
      });
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
