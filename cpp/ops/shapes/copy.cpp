// Ops that move elements: copy, transpose, broadcast_to, slice and its reverse, concatenate.
#include <algorithm>

#include "kernels/strided.h"

#include "graph/autodiff.h"
#include "ops/elementwise/elementwise.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

// Only the size of an element matters here.
template <class Visitor>
void with_element(DType dtype, Visitor&& visitor) {
  switch (size_of(dtype)) {
    case 8:
      return visitor(TypeTag<uint64_t>{});
    case 4:
      return visitor(TypeTag<uint32_t>{});
    default:
      return visitor(TypeTag<uint8_t>{});
  }
}

// The output is a strided view of the input, beginning at element `offset`.
Routine gather_routine(const kernels::Walk<1>& walk, int64_t offset, DType dtype) {
  Routine routine = elementwise_routine(walk.elements, 0.4);
  with_element(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    routine.run = [walk, offset](const Frame& frame, int64_t task) {
      kernels::gather_strided(walk, kernels::elementwise_range(walk.elements, task), frame.output<T>(),
                              frame.input<T>(0) + offset);
    };
  });
  return routine;
}

class Copy final : public Op {
 public:
  const char* name() const override { return "copy"; }
  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    return node.input(0);
  }
  Routine compile(const Signature&, const TensorType& output) const override {
    kernels::Walk<1> walk;
    walk.append(output.shape.elements(), {1});
    return gather_routine(walk, 0, output.dtype);
  }
  void vjp(Vjp& node) const override { node.set(0, node.seed()); }
};

class Transpose final : public Op {
 public:
  const char* name() const override { return "transpose"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    const Shape& shape = node.input(0).shape;
    Shape result;
    for (int axis : order(node)) result.append(shape[axis]);
    return {node.input(0).dtype, result};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const auto strides = strides_of(node.input(0).shape);
    kernels::Walk<1> walk;
    for (int axis : order(node)) walk.append(node.input(0).shape[axis], {strides[static_cast<size_t>(axis)]});
    return gather_routine(walk, 0, output.dtype);
  }

  void vjp(Vjp& node) const override {
    const std::vector<int64_t>& axes = node.attributes().integers("axes");
    std::vector<int64_t> inverse(axes.size());
    for (size_t i = 0; i < axes.size(); ++i)
      inverse[static_cast<size_t>(normalize_axis(name(), axes[i], static_cast<int>(axes.size())))] =
          static_cast<int64_t>(i);
    node.set(0, apply(name(), {node.seed()}, {{"axes", inverse}}));
  }

 private:
  std::vector<int> order(const Signature& node) const {
    const int rank = node.input(0).shape.rank();
    const std::vector<int64_t>& axes = node.attributes.integers("axes");
    std::vector<int> result;
    std::vector<bool> seen(static_cast<size_t>(rank), false);
    for (int64_t axis : axes) {
      result.push_back(normalize_axis(name(), axis, rank));
      if (seen[static_cast<size_t>(result.back())])
        throw ValueError(concat("transpose: axis ", axis, " comes twice"));
      seen[static_cast<size_t>(result.back())] = true;
    }
    if (static_cast<int>(axes.size()) != rank)
      throw ValueError(concat("transpose: ", axes.size(), " axes for shape ", node.input(0).shape));
    return result;
  }
};

class BroadcastTo final : public ElementwiseOp {
 public:
  const char* name() const override { return "broadcast_to"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    const Shape to(node.attributes.integers("shape"));
    if (broadcast(name(), node.input(0).shape, to) != to)
      throw ValueError(concat("broadcast_to: shape ", node.input(0).shape, " does not broadcast to ", to));
    return {node.input(0).dtype, to};
  }

  ElementLoop element_loop(const Signature&, const TensorType& output) const override {
    ElementLoop loop{nullptr, 0.2};
    with_element(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      loop.run = [](int64_t count, void* out, const void* const* inputs, const bool* moves) {
        const T* from = static_cast<const T*>(inputs[0]);
        T* to = static_cast<T*>(out);
        if (moves[0])
          std::copy(from, from + count, to);
        else
          std::fill(to, to + count, *from);
      };
    });
    return loop;
  }

  // The reverse sweep sums over broadcast axes by itself.
  void vjp(Vjp& node) const override { node.set(0, node.seed()); }
};

// A box of every `step`-th element: output[i, …] = input[start + i · step, …].
struct Box {
  std::vector<int64_t> start, size, step;

  Box(const char* op, const Attributes& attributes, const Shape& whole)
      : start(attributes.integers("start")),
        size(attributes.integers("size")),
        step(attributes.integers("step")) {
    const size_t rank = static_cast<size_t>(whole.rank());
    if (start.size() != rank || size.size() != rank || step.size() != rank)
      throw ValueError(concat(op, ": start, size and step need one entry for each of ", rank, " axes"));
    for (size_t axis = 0; axis < rank; ++axis) {
      if (step[axis] == 0) throw ValueError(concat(op, ": step of axis ", axis, " must not be zero"));
      const int64_t first = start[axis], count = whole[static_cast<int>(axis)];
      const bool begins = first >= 0 && first < count;
      // How many there are from the first one on; what is asked for may overflow.
      const int64_t there =
          !begins ? 0 : 1 + (step[axis] > 0 ? (count - 1 - first) / step[axis] : -(first / step[axis]));
      if (size[axis] < 0 || size[axis] > there)
        throw ValueError(concat(op, ": ", size[axis], " elements of axis ", axis, " from ", first,
                                " in steps of ", step[axis], " are out of range for shape ", whole));
    }
  }

  Attributes attributes() const { return {{"start", start}, {"size", size}, {"step", step}}; }

  int64_t offset(const Shape& whole) const {
    const auto strides = strides_of(whole);
    int64_t sum = 0;
    for (size_t axis = 0; axis < start.size(); ++axis)
      sum += size[axis] > 0 ? start[axis] * strides[axis] : 0;
    return sum;
  }

  kernels::Walk<1> walk(const Shape& whole) const {
    const auto strides = strides_of(whole);
    kernels::Walk<1> result;
    for (size_t axis = 0; axis < start.size(); ++axis)
      result.append(size[axis], {strides[axis] * step[axis]});
    return result;
  }
};

class Slice final : public Op {
 public:
  const char* name() const override { return "slice"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    return {node.input(0).dtype, Shape(Box(name(), node.attributes, node.input(0).shape).size)};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Shape& whole = node.input(0).shape;
    const Box box(name(), node.attributes, whole);
    return gather_routine(box.walk(whole), box.offset(whole), output.dtype);
  }

  void vjp(Vjp& node) const override {
    const Shape& whole = node.input(0).shape();
    Attributes attributes = Box(name(), node.attributes(), whole).attributes();
    attributes.set("shape", whole.to_vector());
    node.set(0, apply("unslice", {node.seed()}, std::move(attributes)));
  }
};

// The reverse of slice: an array of `shape`, all zeros, or `value` where given, with the input in the box.
class Unslice final : public Op {
 public:
  const char* name() const override { return "unslice"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    const Shape whole(node.attributes.integers("shape"));
    const Box box(name(), node.attributes, whole);
    if (Shape(box.size) != node.input(0).shape)
      throw ValueError(
          concat("unslice: a box of ", Shape(box.size), " does not hold shape ", node.input(0).shape));
    return {node.input(0).dtype, whole};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Box box(name(), node.attributes, output.shape);
    const auto walk = box.walk(output.shape);
    const int64_t offset = box.offset(output.shape);
    const double value = node.attributes.number("value", 0);
    // Cut along the first axis, each task fills its rows, then puts in what of the box is in them.
    const int rank = output.shape.rank();
    const bool cut = rank > 0 && box.step[0] > 0 && output.shape[0] > 0;
    const int64_t rows = cut ? output.shape[0] : 1, row = output.shape.elements() / rows;
    const int64_t box_rows = cut ? box.size[0] : 1;
    const int64_t box_row = box_rows > 0 ? walk.elements / box_rows : 0;
    const int64_t start = cut ? box.start[0] : 0, step = cut ? box.step[0] : 1;
    Routine routine = elementwise_routine(output.shape.elements(), 0.4);
    routine.tasks = tasks_for(rows, row);
    with_any(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [=, tasks = routine.tasks](const Frame& frame, int64_t task) {
        const Range share = part_of(rows, tasks, task);
        std::fill(frame.output<T>() + share.begin * row, frame.output<T>() + share.end * row,
                  static_cast<T>(value));
        const auto reached = [&](int64_t at) {
          return std::clamp<int64_t>(ceil_div(at - start, step), 0, box_rows) * box_row;
        };
        kernels::scatter_strided(walk, {reached(share.begin), reached(share.end)}, frame.output<T>() + offset,
                                 frame.input<T>(0));
      };
    });
    return routine;
  }

  void vjp(Vjp& node) const override {
    const Box box(name(), node.attributes(), node.output().shape());
    node.set(0, apply("slice", {node.seed()}, box.attributes()));
  }
};

class Concatenate final : public Op {
 public:
  const char* name() const override { return "concatenate"; }

  TensorType infer(const Signature& node) const override {
    if (node.count() == 0) throw ValueError("concatenate: at least one input is needed");
    TensorType result = node.input(0);
    const int axis = normalize_axis(name(), node.attributes.integer("axis"), result.shape.rank());
    for (int number = 1; number < node.count(); ++number) {
      expect_same_dtype(name(), node, 0, number);
      Shape other = node.input(number).shape;
      if (other.rank() != result.shape.rank())
        throw ValueError(
            concat("concatenate: shapes ", node.input(0).shape, " and ", other, " differ in rank"));
      const int64_t size = other[axis];
      other[axis] = result.shape[axis];
      if (other != result.shape)
        throw ValueError(concat("concatenate: shapes ", node.input(0).shape, " and ",
                                node.input(number).shape, " differ beyond axis ", axis));
      result.shape[axis] += size;
    }
    return result;
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const int axis = normalize_axis(name(), node.attributes.integer("axis"), output.shape.rank());
    const AxisSplit whole = split_at(output.shape, axis);
    const int64_t element = static_cast<int64_t>(size_of(output.dtype));
    std::vector<int64_t> parts;  // bytes of each input's rows
    for (const TensorType& input : node.inputs) parts.push_back(input.shape[axis] * whole.inner * element);
    const int64_t row = whole.size * whole.inner * element, rows = whole.outer;
    Routine routine = elementwise_routine(output.shape.elements(), 0.4);
    routine.tasks = tasks_for(rows, row);
    routine.run = [parts, row, rows, tasks = routine.tasks](const Frame& frame, int64_t task) {
      const Range share = part_of(rows, tasks, task);
      int64_t column = 0;
      for (size_t i = 0; i < parts.size(); ++i) {
        const char* from = frame.input<char>(static_cast<int>(i));
        if (parts[i] > 0)
          for (int64_t r = share.begin; r < share.end; ++r)
            std::memcpy(frame.output<char>() + r * row + column, from + r * parts[i],
                        static_cast<size_t>(parts[i]));
        column += parts[i];
      }
    };
    return routine;
  }

  void vjp(Vjp& node) const override {
    const Shape& whole = node.output().shape();
    const int axis = normalize_axis(name(), node.attributes().integer("axis"), whole.rank());
    std::vector<int64_t> start(static_cast<size_t>(whole.rank()), 0), step(start.size(), 1);
    for (int number = 0; number < node.count(); ++number) {
      const Shape& part = node.input(number).shape();
      if (node.needs(number))
        node.set(number, apply("slice", {node.seed()},
                               {{"start", start}, {"size", part.to_vector()}, {"step", step}}));
      start[static_cast<size_t>(axis)] += part[axis];
    }
  }
};

}  // namespace

void add_copy_ops(OpList& ops) {
  ops.push_back(std::make_unique<Copy>());
  ops.push_back(std::make_unique<Transpose>());
  ops.push_back(std::make_unique<BroadcastTo>());
  ops.push_back(std::make_unique<Slice>());
  ops.push_back(std::make_unique<Unslice>());
  ops.push_back(std::make_unique<Concatenate>());
}

}  // namespace bpcore
