// bpcore's core measured without Python, against what this machine can do at that moment.
#include <benchmark/benchmark.h>

#include <string>

#include "core/parallel.h"
#include "kernels/simd.h"
#include "suites.h"

int main(int argc, char** argv) {
  benchmark::AddCustomContext("instruction set", BPCORE_ISA_NAME);
  benchmark::AddCustomContext("vector bytes", std::to_string(bpcore::kernels::simd::vector_bytes));
  benchmark::AddCustomContext("compiler", __VERSION__);
  benchmark::AddCustomContext("threads at most", std::to_string(bpcore::max_threads()));
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;

  using namespace bpcore::benchmarks;
  add_peak_benchmarks();
  add_product_benchmarks();
  add_elementwise_benchmarks();
  add_convolution_benchmarks();
  add_pooling_benchmarks();
  add_recurrence_benchmarks();
  add_attention_benchmarks();
  add_normalization_benchmarks();
  add_optimizer_benchmarks();
  add_planner_benchmarks();
  add_step_benchmarks();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
