// softmax and log_softmax along one axis.
#include "kernels/softmax.h"

#include "graph/autodiff.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

class Softmax final : public Op {
 public:
  Softmax(const char* name, bool log) : name_(name), log_(log) {}
  const char* name() const override { return name_; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    expect_float(name(), node, 0);
    const Shape& shape = node.input(0).shape;
    const int axis = normalize_axis(name(), node.attributes.integer("axis"), shape.rank());
    if (shape[axis] == 0) throw ValueError(concat(name(), ": axis ", axis, " of shape ", shape, " is empty"));
    return node.input(0);
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const AxisSplit split =
        split_at(output.shape, normalize_axis(name(), node.attributes.integer("axis"), output.shape.rank()));
    const int64_t rows = split.outer * split.inner;
    Routine routine;
    routine.tasks = tasks_for(rows, split.size);
    routine.cost = 0.6 * static_cast<double>(output.shape.elements()) + 8.0 * static_cast<double>(rows);
    // A row that is not contiguous is gathered into scratch, so that its numbers don't depend on the axis.
    const bool strided = split.inner != 1;
    routine.scratch_bytes =
        strided ? 2 * round_up(split.size, 16) * static_cast<int64_t>(size_of(output.dtype)) : 0;
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const auto run_rows = log_ ? kernels::log_softmax_rows<T> : kernels::softmax_rows<T>;
      routine.run = [split, rows, strided, run_rows, tasks = routine.tasks](const Frame& frame,
                                                                            int64_t task) {
        const Range share = part_of(rows, tasks, task);
        const T* x = frame.input<T>(0);
        T* y = frame.output<T>();
        if (!strided)
          return run_rows(x + share.begin * split.size, share.end - share.begin, split.size,
                          y + share.begin * split.size);
        T* row_in = reinterpret_cast<T*>(frame.scratch);
        T* row_out = row_in + round_up(split.size, 16);
        for (int64_t row = share.begin; row < share.end; ++row) {
          const int64_t first = row / split.inner * split.size * split.inner + row % split.inner;
          for (int64_t i = 0; i < split.size; ++i) row_in[i] = x[first + i * split.inner];
          run_rows(row_in, 1, split.size, row_out);
          for (int64_t i = 0; i < split.size; ++i) y[first + i * split.inner] = row_out[i];
        }
      };
    });
    return routine;
  }

  // softmax: y · (g - Σ g·y); log_softmax: g - exp(y) · Σ g.
  void vjp(Vjp& node) const override {
    const Value g = node.seed(), y = node.output();
    const std::vector<int64_t> axes{node.attributes().integer("axis")};
    if (log_)
      node.set(0, g - apply("exp", {y}) * sum(g, axes, true));
    else
      node.set(0, y * (g - sum(g * y, axes, true)));
  }

 private:
  const char* name_;
  bool log_;
};

}  // namespace

void add_softmax_ops(OpList& ops) {
  ops.push_back(std::make_unique<Softmax>("softmax", false));
  ops.push_back(std::make_unique<Softmax>("log_softmax", true));
}

}  // namespace bpcore
