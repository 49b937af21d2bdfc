// sum, mean, max, min over any axes; argmax, argmin over one.
#include <functional>

#include "kernels/reduce.h"

#include "graph/autodiff.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

using kernels::reduce_columns_width;

enum class Kind { Sum, Mean, Max, Min };

std::vector<bool> reduced_axes(const char* op, const Signature& node) {
  const int rank = node.input(0).shape.rank();
  std::vector<bool> reduced(static_cast<size_t>(rank), false);
  for (int64_t axis : node.attributes.integers("axes")) {
    const auto at = static_cast<size_t>(normalize_axis(op, axis, rank));
    if (reduced[at]) throw ValueError(concat(op, ": axis ", axis, " comes twice"));
    reduced[at] = true;
  }
  return reduced;
}

Shape reduced_shape(const Shape& shape, const std::vector<bool>& reduced, bool keepdims) {
  Shape result;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (!reduced[static_cast<size_t>(axis)])
      result.append(shape[axis]);
    else if (keepdims)
      result.append(1);
  }
  return result;
}

// An array whose reduced axes are one run of neighbours (simplify sees to that).
struct Run : AxisSplit {
  bool trailing =
      true;  // they are the last axes, so that rows are reduced and not columns, whatever the sizes
};

Run one_run(const char* op, const Shape& shape, const std::vector<bool>& reduced) {
  Run run;
  bool inside = false;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (reduced[static_cast<size_t>(axis)]) {
      if (!run.trailing) throw StateError(concat(op, ": the reduced axes are not neighbours"));
      inside = true;
      run.size *= shape[axis];
    } else if (inside) {
      run.trailing = false;
      run.inner *= shape[axis];
    } else {
      run.outer *= shape[axis];
    }
  }
  return run;
}

// out (outer, inner) = reduction of x (outer, size, inner), then times `scale`.
template <class T, class Combine>
void set_run(Routine& routine, const Run& split, Combine combine, T empty, T scale) {
  if (split.size == 0) {
    routine.run = [count = split.outer * split.inner, empty](const Frame& frame, int64_t) {
      std::fill_n(frame.output<T>(), count, empty);
    };
  } else if (split.trailing) {
    routine.tasks = tasks_for(split.outer, split.size);
    routine.run = [=, tasks = routine.tasks](const Frame& frame, int64_t task) {
      const Range share = part_of(split.outer, tasks, task);
      for (int64_t row = share.begin; row < share.end; ++row)
        frame.output<T>()[row] =
            scale * kernels::reduce_row(frame.input<T>(0) + row * split.size, split.size, combine);
    };
  } else {
    // A task takes whole strips of columns; the width of a strip does not depend on the number of tasks.
    const int64_t strips = ceil_div(split.inner, reduce_columns_width);
    routine.tasks = tasks_for(split.outer * strips, split.size * reduce_columns_width);
    routine.run = [=, tasks = routine.tasks](const Frame& frame, int64_t task) {
      const Range share = part_of(split.outer * strips, tasks, task);
      for (int64_t strip = share.begin; strip < share.end; ++strip) {
        const int64_t row = strip / strips, column = strip % strips * reduce_columns_width;
        const int64_t width = std::min(reduce_columns_width, split.inner - column);
        T* out = frame.output<T>() + row * split.inner + column;
        kernels::reduce_columns(frame.input<T>(0) + row * split.size * split.inner + column, split.size,
                                width, split.inner, out, combine);
        for (int64_t j = 0; j < width; ++j) out[j] *= scale;
      }
    };
  }
}

class Reduction final : public Op {
 public:
  Reduction(const char* name, Kind kind) : name_(name), kind_(kind) {}
  const char* name() const override { return name_; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    expect_not_bool(name(), node, 0);
    if (kind_ == Kind::Mean) expect_float(name(), node, 0);
    const Shape& shape = node.input(0).shape;
    const std::vector<bool> reduced = reduced_axes(name(), node);
    if (kind_ != Kind::Sum && shape.elements() == 0)
      for (int axis = 0; axis < shape.rank(); ++axis)
        if (reduced[static_cast<size_t>(axis)] && shape[axis] == 0)
          throw ValueError(
              concat(name(), ": axis ", axis, " of shape ", shape, " has no elements to reduce"));
    return {node.input(0).dtype, reduced_shape(shape, reduced, node.attributes.flag("keepdims"))};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Run split = one_run(name(), node.input(0).shape, reduced_axes(name(), node));
    Routine routine;
    routine.cost = 0.15 * static_cast<double>(node.input(0).shape.elements());
    with_any(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      if (kind_ == Kind::Max)
        set_run<T>(routine, split, kernels::Max{}, T(0), T(1));
      else if (kind_ == Kind::Min)
        set_run<T>(routine, split, kernels::Min{}, T(0), T(1));
      else if (kind_ == Kind::Mean)
        set_run<T>(routine, split, kernels::Sum{}, T(0),
                   static_cast<T>(1.0 / static_cast<double>(split.size)));
      else
        set_run<T>(routine, split, kernels::Sum{}, T(0), T(1));
    });
    return routine;
  }

  void vjp(Vjp& node) const override {
    const Value x = node.input(0);
    const Signature signature{{x.type()}, node.attributes()};
    const std::vector<bool> reduced = reduced_axes(name(), signature);
    const Shape kept = reduced_shape(x.shape(), reduced, true);
    const Value seed = reshape(node.seed(), kept);
    if (kind_ == Kind::Sum) {
      node.set(0, broadcast_to(seed, x.shape()));
    } else if (kind_ == Kind::Mean) {
      const double count = static_cast<double>(x.shape().elements()) / static_cast<double>(kept.elements());
      node.set(0, broadcast_to(1.0 / count * seed, x.shape()));
    } else {
      // Equal extremes share the gradient evenly.
      const Value mask = cast(apply("equal", {x, reshape(node.output(), kept)}), x.dtype());
      const Value count = sum(mask, node.attributes().integers("axes"), true);
      node.set(0, mask * (seed / count));
    }
  }

 private:
  const char* name_;
  Kind kind_;
};

// The place of the first extreme along one axis; the first NaN if there is one.
class ArgExtreme final : public Op {
 public:
  ArgExtreme(const char* name, bool largest) : name_(name), largest_(largest) {}
  const char* name() const override { return name_; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    expect_not_bool(name(), node, 0);
    const Shape& shape = node.input(0).shape;
    const int axis = normalize_axis(name(), node.attributes.integer("axis"), shape.rank());
    if (shape[axis] == 0) throw ValueError(concat(name(), ": axis ", axis, " of shape ", shape, " is empty"));
    std::vector<bool> reduced(static_cast<size_t>(shape.rank()), false);
    reduced[static_cast<size_t>(axis)] = true;
    return {DType::Int64, reduced_shape(shape, reduced, node.attributes.flag("keepdims"))};
  }

  Routine compile(const Signature& node, const TensorType&) const override {
    const Shape& shape = node.input(0).shape;
    const AxisSplit split =
        split_at(shape, normalize_axis(name(), node.attributes.integer("axis"), shape.rank()));
    Routine routine;
    routine.tasks = tasks_for(split.outer * split.inner, split.size);
    routine.cost = 1.0 * static_cast<double>(shape.elements());
    with_any(node.input(0).dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [split, tasks = routine.tasks, largest = largest_](const Frame& frame, int64_t task) {
        const Range share = part_of(split.outer * split.inner, tasks, task);
        if (share.begin == share.end) return;  // an axis beside may be empty
        int64_t outer = share.begin / split.inner, inner = share.begin % split.inner;
        for (int64_t at = share.begin; at < share.end; ++at) {
          const T* x = frame.input<T>(0) + outer * split.size * split.inner + inner;
          frame.output<int64_t>()[at] =
              largest ? kernels::first_extreme(x, split.size, split.inner, std::greater<T>{})
                      : kernels::first_extreme(x, split.size, split.inner, std::less<T>{});
          if (++inner == split.inner) {
            inner = 0;
            ++outer;
          }
        }
      };
    });
    return routine;
  }

  void vjp(Vjp&) const override {}

 private:
  const char* name_;
  bool largest_;
};

}  // namespace

void add_reduction_ops(OpList& ops) {
  ops.push_back(std::make_unique<Reduction>("sum", Kind::Sum));
  ops.push_back(std::make_unique<Reduction>("mean", Kind::Mean));
  ops.push_back(std::make_unique<Reduction>("max", Kind::Max));
  ops.push_back(std::make_unique<Reduction>("min", Kind::Min));
  ops.push_back(std::make_unique<ArgExtreme>("argmax", true));
  ops.push_back(std::make_unique<ArgExtreme>("argmin", false));
}

}  // namespace bpcore
