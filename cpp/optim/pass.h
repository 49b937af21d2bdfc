// The loop that all formulas share: a vector of parameters, gradients and state at a time.
#pragma once

#include <algorithm>
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
// Step prepare(rate, step), what a step needs of them as scalars;
// apply(const Step&, Vec& weight, Vec gradient, Vec* state), the formula; and, where it can be so,
// bool rests(), see ElementwiseOptimizer.
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
    const typename Rule::Step step = steps_[group];
    const T* __restrict gradient = static_cast<const T*>(gradients);
    walk<1>(parameters, begin, end, [&](int64_t i, int64_t count, Vec<T>* weight, auto* state) {
      const Vec<T> g =
          count == width ? kernels::simd::load(gradient + i) : kernels::simd::load(gradient + i, mask(count));
      Rule::apply(step, *weight, g, state->data());
    });
  }

  bool rests(size_t group) const override {
    if constexpr (requires(const Rule& rule) { rule.rests(); })
      return rules_[group].rests();
    else
      return false;
  }

  void keep_steps(size_t most) override {
    forget_steps();
    kept_.resize(most * rules_.size());
  }
  void make_room_for_steps(size_t most) override { kept_.reserve(most * rules_.size()); }
  void forget_steps() override { kept_count_ = 0; }
  size_t kept_steps() const override { return kept_count_; }

  void catch_up(void* parameters, int64_t begin, int64_t end, size_t group, size_t first) const override {
    constexpr int together = 4;  // vectors: a step waits for the one before
    const auto take = [&](auto vectors, int64_t from, int64_t to) {
      constexpr int n = decltype(vectors)::value;
      walk<n>(parameters, from, to, [&](int64_t, int64_t, Vec<T>* weight, auto* state) {
        for (size_t number = first; number < kept_count_; ++number) {
          const typename Rule::Step& step = kept_[number * rules_.size() + group];
#pragma GCC unroll 4
          for (int v = 0; v < n; ++v) Rule::apply(step, weight[v], Vec<T>{}, state[v].data());
        }
      });
    };
    const int64_t blocks = begin + (end - begin) / (together * width) * (together * width);
    take(std::integral_constant<int, together>{}, begin, blocks);
    take(std::integral_constant<int, 1>{}, blocks, end);
  }

 private:
  static constexpr int64_t width = kernels::simd::vector_width<T>;
  static constexpr size_t count = Rule::slots.size();

  BPCORE_INLINE static kernels::simd::Mask<T> mask(int64_t elements) {
    return kernels::simd::Mask<T>(static_cast<int>(elements));
  }

  // body(first element, elements of the only vector, weights, state) for every n vectors; with n = 1 the last
  // one may be shorter.
  template <int n, class Body>
  void walk(void* parameters, int64_t begin, int64_t end, Body&& body) const {
    namespace simd = kernels::simd;
    const FlushSubnormals mode;
    T* __restrict theta = static_cast<T*>(parameters);
    std::array<T*, count> slots;
    for (size_t k = 0; k < count; ++k) slots[k] = this->template slot<T>(k);
    Vec<T> weight[n] = {};  // GCC doesn't see in every rule that all of it is loaded before it is used
    std::array<Vec<T>, count> state[n] = {};
    int64_t i = begin;
    for (; i + n * width <= end; i += n * width) {
#pragma GCC unroll 4
      for (int v = 0; v < n; ++v) {
        weight[v] = simd::load(theta + i + v * width);
        for (size_t k = 0; k < count; ++k) state[v][k] = simd::load(slots[k] + i + v * width);
      }
      body(i, width, weight, state);
#pragma GCC unroll 4
      for (int v = 0; v < n; ++v) {
        for (size_t k = 0; k < count; ++k) simd::store(slots[k] + i + v * width, state[v][k]);
        simd::store(theta + i + v * width, weight[v]);
      }
    }
    if (i >= end) return;
    const simd::Mask<T> rest = mask(end - i);
    weight[0] = simd::load(theta + i, rest);
    for (size_t k = 0; k < count; ++k) state[0][k] = simd::load(slots[k] + i, rest);
    body(i, end - i, weight, state);
    for (size_t k = 0; k < count; ++k) simd::store(slots[k] + i, state[0][k], rest);
    simd::store(theta + i, weight[0], rest);
  }

  void prepare(const double* rates, int64_t step) override {
    for (size_t group = 0; group < rules_.size(); ++group)
      steps_[group] = rules_[group].prepare(rates[group], step);
    if (kept_.empty()) return;
    std::copy(steps_.begin(), steps_.end(),
              kept_.begin() + static_cast<int64_t>(kept_count_ * rules_.size()));
    ++kept_count_;
  }

  std::vector<Rule> rules_;                 // by group
  std::vector<typename Rule::Step> steps_;  // of the step at hand
  std::vector<typename Rule::Step> kept_;   // step by step; empty: none are kept
  size_t kept_count_ = 0;
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

// a·x + y, for a y that is a product, too: the compiler could fuse either with the sum, and might choose
// another one in another loop, but steps that are put off must round as those that are not.
template <class T>
BPCORE_INLINE Vec<T> fused(T a, Vec<T> x, Vec<T> y) {
  return kernels::simd::fma(kernels::simd::broadcast(a), x, y);
}

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
