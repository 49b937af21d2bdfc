// Elementwise ops of two inputs, from a rule that names the function and the derivative.
#pragma once

#include <memory>
#include <type_traits>

#include "graph/autodiff.h"
#include "kernels/elementwise.h"
#include "ops/elementwise/elementwise.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

// Rule has: name; accepts; operator()(T, T), returning T, or Bool for a predicate; vjp(Vjp&).
template <class Rule>
class BinaryOp final : public ElementwiseOp {
 public:
  const char* name() const override { return Rule::name; }

  TensorType infer(const Signature& node) const override {
    return binary_type(name(), node, Rule::accepts, is_predicate);
  }

  ElementLoop element_loop(const Signature& node, const TensorType&) const override {
    ElementLoop loop{nullptr, 0.3};
    with_accepted<Rule::accepts>(node.input(0).dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      loop.run = [](int64_t count, void* out, const void* const* inputs, const bool* moves) {
        kernels::binary(count, static_cast<std::invoke_result_t<Rule, T, T>*>(out),
                        static_cast<const T*>(inputs[0]), moves[0], static_cast<const T*>(inputs[1]),
                        moves[1], Rule{});
      };
    });
    return loop;
  }

  void vjp(Vjp& node) const override { Rule::vjp(node); }

 private:
  using Sample = std::conditional_t<Rule::accepts == Accepts::Bools, Bool, double>;
  static constexpr bool is_predicate = std::is_same_v<std::invoke_result_t<Rule, Sample, Sample>, Bool>;
};

// Integers wrap around as NumPy's do, without the undefined behaviour of signed overflow.
template <class T, class Function>
T wrapping(T a, T b, Function function) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(function(static_cast<uint64_t>(a), static_cast<uint64_t>(b)));
  else
    return function(a, b);
}

}  // namespace bpcore
