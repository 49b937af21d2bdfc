// Whole training steps: shuffled epochs of a session, which gathers batches, runs the plan and updates.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/parallel.h"
#include "dense_network.h"
#include "peak.h"
#include "suites.h"
#include "training/session.h"
#include "turns.h"

namespace bpcore::benchmarks {

namespace {

UpdateOptions adam() {
  UpdateOptions options;
  options.groups = {{{"beta1", 0.9},
                     {"beta2", 0.999},
                     {"eps", 1e-8},
                     {"weight_decay", 0},
                     {"decoupled", 0},
                     {"amsgrad", 0},
                     {"lazy", 0}}};
  return options;
}

void measure(benchmark::State& state, const DenseNetwork& network, int threads) {
  // Epochs of a few milliseconds, and for large networks of a few steps.
  const auto steps = std::clamp(static_cast<int64_t>(1e9 / network.flops()), int64_t{4}, int64_t{4000});
  const int64_t rows = steps * network.batch, in = network.sizes.front(), classes = network.sizes.back();
  std::mt19937 random(0);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(rows * in));
  std::vector<int64_t> labels(static_cast<size_t>(rows));
  for (float& value : x) value = normal(random);
  for (int64_t& label : labels) label = static_cast<int64_t>(random()) % classes;

  const auto store = network.store();
  const auto update = std::make_shared<Update>(store, "adam", adam());
  Session session(network.training_plan(), nullptr, nullptr, store, update,
                  {{reinterpret_cast<const char*>(x.data()), SampleType::Float32, rows, in},
                   {reinterpret_cast<const char*>(labels.data()), SampleType::Int64, rows, 1}},
                  {network.batch, 0, threads});
  const std::vector<double> rates(static_cast<size_t>(steps), 1e-3);
  uint64_t epoch = 0;
  const auto run_epoch = [&] {
    session.begin_epoch(epoch++, true);
    session.run(steps, rates.data());
  };

  // The floor of a step on one core: its products at the FMA peak, then Adam, which reads four arrays and
  // writes three, at the bandwidth of a copy in as much memory.
  const auto parameter_bytes = static_cast<int64_t>(store->parameter_layout.bytes());
  Copy copy(4 * parameter_bytes);
  const auto steps_a_second = [&] {
    return 1 / (network.flops() / fma_peak<float>() +
                7.0 * static_cast<double>(parameter_bytes) / copy.bandwidth());
  };
  const Turns turns = take_turns(state, 1, steps, run_epoch, steps_a_second);
  state.counters["us a step"] = turns.seconds * 1e6;
  state.counters["GFLOP/s"] = network.flops() / turns.seconds / 1e9;
  state.counters["of one core's floor"] = turns.share;
}

}  // namespace

void add_step_benchmarks() {
  for (const DenseNetwork& network : dense_networks())
    for (int threads = 1; threads <= max_threads(); threads *= 2)
      add_turns(concat("step/", network.name(), "/threads:", threads),
                [network, threads](benchmark::State& state) { measure(state, network, threads); });
}

}  // namespace bpcore::benchmarks
