// Ops that show their input's memory under another type: reshape, identity, stop_gradient.
#include "graph/autodiff.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

class View : public Op {
 public:
  bool is_view() const override { return true; }
  Routine compile(const Signature&, const TensorType&) const override { return {}; }
};

class Reshape final : public View {
 public:
  const char* name() const override { return "reshape"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    const Shape& from = node.input(0).shape;
    const std::vector<int64_t>& wanted = node.attributes.integers("shape");
    int unknown = -1;
    Shape to;
    for (int64_t size : wanted) {
      if (size < -1 || (size == -1 && unknown >= 0))
        throw ValueError(concat("reshape: sizes must be at least 0, and one may be -1, got ", size));
      if (size == -1) unknown = to.rank();
      to.append(size == -1 ? 1 : size);
    }
    if (unknown >= 0 && to.elements() == 0)
      throw ValueError(concat("reshape: the size for -1 is undefined beside a size of 0, for shape ", from));
    if (unknown >= 0) to[unknown] = from.elements() / to.elements();
    if (to.elements() != from.elements())
      throw ValueError(
          concat("reshape: ", from.elements(), " elements of shape ", from, " do not fit into shape ", to));
    return {node.input(0).dtype, to};
  }

  void vjp(Vjp& node) const override { node.set(0, reshape(node.seed(), node.input(0).shape())); }
};

class Identity : public View {
 public:
  const char* name() const override { return "identity"; }
  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    return node.input(0);
  }
  void vjp(Vjp& node) const override { node.set(0, node.seed()); }
};

class StopGradient final : public Identity {
 public:
  const char* name() const override { return "stop_gradient"; }
  void vjp(Vjp&) const override {}
};

}  // namespace

void add_view_ops(OpList& ops) {
  ops.push_back(std::make_unique<Reshape>());
  ops.push_back(std::make_unique<Identity>());
  ops.push_back(std::make_unique<StopGradient>());
}

}  // namespace bpcore
