// cumsum: sums of all elements up to each along one axis, or from each to the end.
#include <algorithm>

#include "graph/autodiff.h"
#include "kernels/running_sum.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

constexpr int64_t strip_width = 64;  // columns

class CumulativeSum final : public Op {
 public:
  const char* name() const override { return "cumsum"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    expect_not_bool(name(), node, 0);
    axis_of(node);
    return node.input(0);
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    Routine routine;
    routine.run = [](const Frame&, int64_t) {};
    if (output.shape.elements() == 0) return routine;
    // A task takes whole strips of columns; each column is one chain of sums.
    const AxisSplit split = split_at(output.shape, axis_of(node));
    const int64_t width = std::min(split.inner, strip_width), strips = ceil_div(split.inner, width);
    routine.tasks = tasks_for(split.outer * strips, split.size * width);
    routine.cost = (split.inner == 1 ? 1.0 : 0.3) * static_cast<double>(output.shape.elements());
    const bool reverse = node.attributes.flag("reverse");
    with_accepted<Accepts::Numbers>(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [=, tasks = routine.tasks](const Frame& frame, int64_t task) {
        const Range share = part_of(split.outer * strips, tasks, task);
        for (int64_t strip = share.begin; strip < share.end; ++strip) {
          const int64_t column = strip % strips * width;
          const int64_t first = strip / strips * split.size * split.inner + column;
          const int64_t begin = reverse ? first + (split.size - 1) * split.inner : first;
          kernels::running_sums(frame.input<T>(0) + begin, split.size, reverse ? -split.inner : split.inner,
                                std::min(width, split.inner - column), frame.output<T>() + begin);
        }
      };
    });
    return routine;
  }

  // An element is part of its own sum and of those behind it: a running sum of the seed from the other end.
  void vjp(Vjp& node) const override {
    const Attributes& attributes = node.attributes();
    node.set(0, apply(name(), {node.seed()},
                      {{"axis", attributes.integer("axis")}, {"reverse", !attributes.flag("reverse")}}));
  }

 private:
  int axis_of(const Signature& node) const {
    return normalize_axis(name(), node.attributes.integer("axis"), node.input(0).shape.rank());
  }
};

}  // namespace

void add_cumsum_ops(OpList& ops) { ops.push_back(std::make_unique<CumulativeSum>()); }

}  // namespace bpcore
