// The suites of this program. Each adds its benchmarks to Google Benchmark's list.
#pragma once

namespace bpcore::benchmarks {

void add_peak_benchmarks();
void add_product_benchmarks();
void add_elementwise_benchmarks();
void add_convolution_benchmarks();
void add_pooling_benchmarks();
void add_recurrence_benchmarks();
void add_attention_benchmarks();
void add_normalization_benchmarks();
void add_optimizer_benchmarks();
void add_planner_benchmarks();
void add_step_benchmarks();

}  // namespace bpcore::benchmarks
