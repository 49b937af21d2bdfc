// What a plan costs before its first run: graph, derivatives, passes, places in memory.
#include "graph/planner.h"

#include <random>
#include <string>
#include <vector>

#include "core/error.h"
#include "dense_network.h"
#include "suites.h"
#include "turns.h"

namespace bpcore::benchmarks {

namespace {

void measure_plan(benchmark::State& state, const DenseNetwork& network) {
  std::shared_ptr<Plan> plan;
  for (auto _ : state) plan = network.training_plan();
  state.counters["instructions"] = static_cast<double>(plan->instructions().size());
  state.counters["arena of live"] =
      static_cast<double>(plan->arena_bytes()) / static_cast<double>(plan->live_bytes());
}

// Places alone: values of 64 B to 64 KiB that live for up to 20 steps, one begun a step.
void measure_places(benchmark::State& state, int count) {
  std::mt19937 random(0);
  std::vector<Lifetime> lifetimes;
  for (int i = 0; i < count; ++i)
    lifetimes.push_back({64 << (random() % 11), i, i + static_cast<int>(random() % 20)});
  Layout layout;
  for (auto _ : state) layout = place(lifetimes);
  state.counters["arena of live"] =
      static_cast<double>(layout.bytes) / static_cast<double>(largest_live_sum(lifetimes));
}

}  // namespace

void add_planner_benchmarks() {
  const auto add = [](const std::string& name, auto body) {
    benchmark::RegisterBenchmark(name.c_str(), body)->Unit(benchmark::kMicrosecond);
  };
  for (const DenseNetwork& network : dense_networks())
    add("plan/" + network.name(), [network](benchmark::State& state) { measure_plan(state, network); });
  const DenseNetwork deep{std::vector<int64_t>(65, 32), 32};
  add("plan/64 layers", [deep](benchmark::State& state) { measure_plan(state, deep); });
  for (const int count : {100, 1000})
    add(concat("places/", count), [count](benchmark::State& state) { measure_places(state, count); });
}

}  // namespace bpcore::benchmarks
