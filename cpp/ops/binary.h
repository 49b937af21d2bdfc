// Elementwise ops of two inputs, from a rule that names the function and the derivative.
#pragma once

#include <memory>
#include <type_traits>

#include "graph/autodiff.h"
#include "kernels/elementwise.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

// Rule has: name; `float_only` or not; `T operator()(T, T)` (or bool, for Result = Bool); vjp(Vjp&).
template <class Rule, bool IsPredicate = false>
class BinaryOp final : public Op {
 public:
  const char* name() const override { return Rule::name; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 2);
    expect_same_dtype(name(), node, 0, 1);
    for (int number : {0, 1}) {
      if (Rule::float_only) expect_float(name(), node, number);
      if (!IsPredicate) expect_not_bool(name(), node, number);
    }
    return {IsPredicate ? DType::Bool : node.input(0).dtype,
            broadcast(name(), node.input(0).shape, node.input(1).shape)};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const auto walk = kernels::broadcast_walk<2>(output.shape, {node.input(0).shape, node.input(1).shape});
    const int64_t elements = output.shape.elements();
    Routine routine;
    routine.tasks = kernels::elementwise_tasks(elements);
    routine.cost = 0.3 * static_cast<double>(elements);
    if constexpr (Rule::float_only) {
      with_float(node.input(0).dtype,
                 [&](auto tag) { set_run<typename decltype(tag)::type>(routine, walk, elements); });
    } else {
      with_any(node.input(0).dtype,
               [&](auto tag) { set_run<typename decltype(tag)::type>(routine, walk, elements); });
    }
    return routine;
  }

  void vjp(Vjp& node) const override { Rule::vjp(node); }

 private:
  template <class T>
  static void set_run(Routine& routine, const kernels::Walk<2>& walk, int64_t elements) {
    using Out = std::conditional_t<IsPredicate, Bool, T>;
    routine.run = [walk, elements](const Frame& frame, int64_t task) {
      kernels::binary(walk, kernels::elementwise_range(elements, task), frame.output<Out>(),
                      frame.input<T>(0), frame.input<T>(1), Rule{});
    };
  }
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
