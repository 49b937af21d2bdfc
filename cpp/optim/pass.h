// The loop that all formulas share: a vector of parameters, gradients and state at a time.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "core/subnormal.h"
#include "kernels/newton.h"
#include "optim/settings.h"

namespace bpcore {

template <class T>
using Vec = kernels::simd::Vec<T>;

// Rule: Scalar (float or double); slots(), the names of its state; Rule(Settings&), a group's settings;
// Step prepare(rate, step), what a step needs of them as scalars; and
// apply(const Step&, Vec& weight, Vec gradient, Vec* state), the formula.
template <class Rule>
class Pass final : public ElementwiseOptimizer {
 public:
  using T = typename Rule::Scalar;

  explicit Pass(const OptimizerSetup& setup)
      : ElementwiseOptimizer(setup, {Rule::slots.begin(), Rule::slots.end()}), steps_(setup.groups.size()) {
    for (const Hyper& hyper : setup.groups) {
      Settings settings(setup.name, hyper);
      rules_.emplace_back(settings);
      settings.expect_empty();
    }
  }

  void update(void* parameters, const void* gradients, int64_t begin, int64_t end,
              size_t group) const override {
    namespace simd = kernels::simd;
    const FlushSubnormals mode;
    const typename Rule::Step step = steps_[group];
    T* __restrict theta = static_cast<T*>(parameters);
    const T* __restrict gradient = static_cast<const T*>(gradients);
    constexpr size_t count = Rule::slots.size();
    std::array<T*, count> slots;
    for (size_t k = 0; k < count; ++k) slots[k] = slot<T>(k);
    for (int64_t i = begin; i < end; i += simd::vector_width<T>) {
      Vec<T> weight = simd::load(theta + i);
      std::array<Vec<T>, count> state;
      for (size_t k = 0; k < count; ++k) state[k] = simd::load(slots[k] + i);
      Rule::apply(step, weight, simd::load(gradient + i), state.data());
      for (size_t k = 0; k < count; ++k) simd::store(slots[k] + i, state[k]);
      simd::store(theta + i, weight);
    }
  }

 private:
  void prepare(const double* rates, int64_t step) override {
    for (size_t group = 0; group < rules_.size(); ++group)
      steps_[group] = rules_[group].prepare(rates[group], step);
  }

  std::vector<Rule> rules_;                 // by group
  std::vector<typename Rule::Step> steps_;  // of the step at hand
};

// Pass<Rule<T>> for the setup's dtype T.
template <template <class> class Rule>
std::unique_ptr<Optimizer> make_pass(const OptimizerSetup& setup) {
  return with_float(setup.dtype, [&](auto tag) -> std::unique_ptr<Optimizer> {
    return std::make_unique<Pass<Rule<typename decltype(tag)::type>>>(setup);
  });
}

// 1 - beta^step. What is far below the last digit of 1 needs no power, which costs as much as a small layer.
double bias_correction(double beta, int64_t step);

template <class V>
BPCORE_INLINE V larger(V a, V b) {  // NaN where one of them is
  return a > b || a != a ? a : b;
}

template <class V>
BPCORE_INLINE V magnitude(V x) {
  return x < V{} ? -x : x;
}

// -1, 0 or 1; NaN stays NaN.
template <class T>
BPCORE_INLINE Vec<T> sign(Vec<T> x) {
  const Vec<T> one = kernels::simd::broadcast(T(1));
  return x > Vec<T>{} ? one : x < Vec<T>{} ? -one : x;
}

}  // namespace bpcore
