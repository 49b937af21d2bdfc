#include "peak.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "core/error.h"
#include "kernels/simd.h"
#include "suites.h"
#include "turns.h"

namespace bpcore::benchmarks {

template <class T>
double fma_peak() {
  using namespace kernels;
  using Vec = simd::Vec<T>;
  // Two units with a latency of four or five cycles are busy with ten chains. More hide the loop's own
  // instructions, as many as leave registers for the factors.
  constexpr int chains = simd::vector_bytes == 64 ? 24 : 12;
  constexpr int64_t repeats = 60000;
  volatile T factor = T(0.5), summand = T(1);  // x / 2 + 1 tends to 2: neither overflow nor subnormal numbers
  const Vec a = simd::broadcast<T>(factor), b = simd::broadcast<T>(summand);
  Vec x[chains];
  for (Vec& chain : x) chain = b;
  const double seconds = seconds_of([&] {
    for (int64_t i = 0; i < repeats; ++i) {
#pragma GCC unroll 24
      for (int j = 0; j < chains; ++j) x[j] = simd::fma(x[j], a, b);
    }
  });
  benchmark::DoNotOptimize(x);
  return 2.0 * simd::vector_width<T> * chains * repeats / seconds;
}

template double fma_peak<float>();
template double fma_peak<double>();

Copy::Copy(int64_t bytes)
    : from_(static_cast<size_t>(bytes / 2)),
      to_(static_cast<size_t>(bytes / 2)),
      repeats_(std::max<int64_t>(1, (int64_t{8} << 20) / bytes)) {}

double Copy::bandwidth() {
  const double seconds = seconds_of([&] {
    for (int64_t i = 0; i < repeats_; ++i) {
      std::memcpy(to_.data(), from_.data(), from_.bytes());
      benchmark::ClobberMemory();  // each copy is made
    }
  });
  return 2.0 * static_cast<double>(from_.bytes()) * static_cast<double>(repeats_) / seconds;
}

namespace {

// Adds `body(state)`, which sets a counter, as a benchmark of `rounds` measurements.
template <class Body>
void add(const std::string& name, Body body) {
  benchmark::RegisterBenchmark(name.c_str(), body)->Iterations(rounds);
}

// The median of what `measure` gives, in units of 1e9.
template <class Measure>
double median_rate(benchmark::State& state, Measure measure) {
  std::vector<double> rates;
  for (auto _ : state) rates.push_back(measure());
  return median(rates) / 1e9;
}

}  // namespace

void add_peak_benchmarks() {
  add("peak/fma/float",
      [](benchmark::State& state) { state.counters["GFLOP/s"] = median_rate(state, fma_peak<float>); });
  add("peak/fma/double",
      [](benchmark::State& state) { state.counters["GFLOP/s"] = median_rate(state, fma_peak<double>); });
  for (const int64_t kib : {16, 256, 1 << 10, 4 << 10, 64 << 10, 1 << 20})
    add(concat("peak/copy/", kib, "KiB"), [kib](benchmark::State& state) {
      Copy copy(kib << 10);
      state.counters["GB/s"] = median_rate(state, [&] { return copy.bandwidth(); });
    });
}

}  // namespace bpcore::benchmarks
