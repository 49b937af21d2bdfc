// What elementwise ops share: they are compiled as chains of one.
#pragma once

#include "graph/op.h"
#include "ops/rules.h"

namespace bpcore {

class ElementwiseOp : public Op {
 public:
  Routine compile(const Signature& node, const TensorType& output) const final {
    std::vector<int> sources;
    for (int i = 0; i < node.count(); ++i) sources.push_back(i);
    return compile_chain({{element_loop(node, output), output, node.inputs, sources}});
  }
};

// What ops of one input and of two make of them; they throw what infer throws.
TensorType unary_type(const char* op, const Signature& node, Accepts accepts);
TensorType binary_type(const char* op, const Signature& node, Accepts accepts, bool is_predicate);

}  // namespace bpcore
