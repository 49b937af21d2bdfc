// How a share of a peak is measured. The clock of a machine moves, by tens of per cent on a shared one, so
// that a peak from the program's begin says little about a product at its end: work and yardstick take turns,
// and every round is compared with the yardstick right before and right after it.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

namespace bpcore::benchmarks {

constexpr int rounds = 15;
constexpr double round_seconds = 4e-3;

template <class Function>
double seconds_of(Function&& function) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  function();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Calls of `work` that take about a round.
template <class Work>
int64_t calls_of_a_round(Work&& work) {
  work();
  for (int64_t calls = 1;; calls *= 2) {
    const double seconds = seconds_of([&] {
      for (int64_t i = 0; i < calls; ++i) work();
    });
    if (seconds > round_seconds / 2) return calls;
  }
}

struct Turns {
  double seconds;  // of one piece of work, the median
  double share;    // of what the yardstick allows, the median
};

// Each call of `work` does `pieces` pieces of work, of `amount` (FLOP, bytes) each; `yardstick` measures how
// much of that can be done in a second.
template <class Work, class Yardstick>
Turns take_turns(benchmark::State& state, double amount, int64_t pieces, Work&& work, Yardstick&& yardstick) {
  const int64_t calls = calls_of_a_round(work);
  std::vector<double> seconds, shares;
  yardstick();
  double before = yardstick();
  const std::clock_t cpu_begin = std::clock();
  const double wall = seconds_of([&] {
    for (auto _ : state) {
      const double round = seconds_of([&] {
        for (int64_t i = 0; i < calls; ++i) work();
      });
      const double after = yardstick();
      seconds.push_back(round / static_cast<double>(calls * pieces));
      shares.push_back(amount / seconds.back() / ((before + after) / 2));
      before = after;
      state.SetIterationTime(seconds.back());
    }
  });
  // CPU time of all threads over wall time: below 1 where somebody else had the core, too.
  state.counters["cpu"] = static_cast<double>(std::clock() - cpu_begin) / CLOCKS_PER_SEC / wall;
  return {median(seconds), median(shares)};
}

// Adds `body(state)` as a benchmark that takes turns.
template <class Body>
void add_turns(const std::string& name, Body body) {
  benchmark::RegisterBenchmark(name.c_str(), body)->UseManualTime()->Iterations(rounds);
}

}  // namespace bpcore::benchmarks
