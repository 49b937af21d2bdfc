// Elementwise ops of one input, from a rule that names the function and the derivative.
#pragma once

#include <memory>

#include "graph/autodiff.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

// Rule has: name; accepts; nanoseconds an element; run(count, x, y) for arrays of T; vjp(Vjp&).
template <class Rule>
class UnaryOp final : public Op {
 public:
  const char* name() const override { return Rule::name; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    expect_accepted(name(), node, 0, Rule::accepts);
    return node.input(0);
  }

  Routine compile(const Signature&, const TensorType& output) const override {
    const int64_t elements = output.shape.elements();
    Routine routine = elementwise_routine(elements, Rule::nanoseconds);
    with_accepted<Rule::accepts>(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [elements](const Frame& frame, int64_t task) {
        const auto range = kernels::elementwise_range(elements, task);
        Rule::run(range.end - range.begin, frame.input<T>(0) + range.begin, frame.output<T>() + range.begin);
      };
    });
    return routine;
  }

  void vjp(Vjp& node) const override { Rule::vjp(node); }
};

}  // namespace bpcore
