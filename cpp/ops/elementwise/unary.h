// Elementwise ops of one input, from a rule that names the function and the derivative.
#pragma once

#include <memory>

#include "graph/autodiff.h"
#include "ops/elementwise/elementwise.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

// Rule has: name; accepts; nanoseconds an element; run(count, x, y) for arrays of T; vjp(Vjp&).
template <class Rule>
class UnaryOp final : public ElementwiseOp {
 public:
  const char* name() const override { return Rule::name; }

  TensorType infer(const Signature& node) const override { return unary_type(name(), node, Rule::accepts); }

  ElementLoop element_loop(const Signature&, const TensorType& output) const override {
    ElementLoop loop{nullptr, Rule::nanoseconds};
    with_accepted<Rule::accepts>(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      loop.run = [](int64_t count, void* out, const void* const* inputs, const bool*) {
        Rule::run(count, static_cast<const T*>(inputs[0]), static_cast<T*>(out));
      };
    });
    return loop;
  }

  void vjp(Vjp& node) const override { Rule::vjp(node); }
};

}  // namespace bpcore
