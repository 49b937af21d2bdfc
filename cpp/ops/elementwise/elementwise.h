// What elementwise ops share: they are compiled as chains of one.
#pragma once

#include "graph/op.h"

namespace bpcore {

class ElementwiseOp : public Op {
 public:
  Routine compile(const Signature& node, const TensorType& output) const final {
    std::vector<int> sources;
    for (int i = 0; i < node.count(); ++i) sources.push_back(i);
    return compile_chain({{element_loop(node, output), output, node.inputs, sources}});
  }
};

}  // namespace bpcore
