// Matrix products on one core, in the three forms of backpropagation: X·W (NN), dY·Wᵀ (NT), Xᵀ·dY (TN).
#include <random>
#include <string>

#include "core/buffer.h"
#include "core/error.h"
#include "kernels/gemm/gemm.h"
#include "peak.h"
#include "suites.h"
#include "turns.h"

namespace bpcore::benchmarks {

namespace {

struct Size {
  int64_t m, n, k;
};

// Layers of the networks that the steps are measured on, multiples of 64, and sizes just off them.
constexpr Size sizes[] = {
    {1, 128, 784},      {32, 64, 64},       {32, 128, 784},     {128, 256, 784},
    {256, 256, 784},    {784, 256, 256},    {128, 512, 512},    {256, 1024, 1024},
    {256, 256, 256},    {320, 320, 320},    {512, 512, 512},    {768, 768, 768},
    {1000, 1000, 1000}, {1024, 1024, 1024}, {1025, 1025, 1025}, {2048, 2048, 2048},
};

struct Form {
  const char* name;
  bool transpose_a, transpose_b;
};

constexpr Form forms[] = {{"NN", false, false}, {"NT", false, true}, {"TN", true, false}};

template <class T>
Buffer random_matrix(int64_t elements) {
  Buffer buffer(static_cast<size_t>(elements) * sizeof(T));
  std::mt19937 random(0);
  std::uniform_real_distribution<T> uniform(-1, 1);
  for (int64_t i = 0; i < elements; ++i) buffer.as<T>()[i] = uniform(random);
  return buffer;
}

template <class T>
void measure(benchmark::State& state, const Form& form, const Size& size) {
  const auto [m, n, k] = size;
  const kernels::Gemm<T> gemm(
      {m, n, k, form.transpose_a, form.transpose_b, form.transpose_a ? m : k, form.transpose_b ? k : n, n},
      1);
  const Buffer a = random_matrix<T>(m * k), b = random_matrix<T>(k * n), c = random_matrix<T>(m * n);
  const Buffer scratch(static_cast<size_t>(gemm.scratch_elements()) * sizeof(T));
  const double flops = 2.0 * static_cast<double>(m * n * k);
  const auto product = [&] {
    for (int64_t task = 0; task < gemm.tasks(); ++task)
      gemm.run(task, a.as<T>(), b.as<T>(), c.as<T>(), {}, scratch.as<T>());
    benchmark::ClobberMemory();
  };
  const Turns turns = take_turns(state, flops, 1, product, fma_peak<T>);
  state.counters["GFLOP/s"] = flops / turns.seconds / 1e9;
  state.counters["of peak"] = turns.share;
}

template <class T>
void add(const std::string& type) {
  for (const Size& size : sizes)
    for (const Form& form : forms)
      add_turns(concat("product/", type, "/", form.name, "/", size.m, "x", size.n, "x", size.k),
                [form, size](benchmark::State& state) { measure<T>(state, form, size); });
}

}  // namespace

void add_product_benchmarks() {
  add<float>("float");
  add<double>("double");
}

}  // namespace bpcore::benchmarks
