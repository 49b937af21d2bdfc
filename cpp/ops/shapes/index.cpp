// gather, its reverse scatter_add, and one_hot. Indices are int64 in [0, size); negative ones do not count
// from the end.
#include <cstring>

#include "graph/autodiff.h"
#include "kernels/reduce.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

// output[o, i, :] = x[o, indices[i], :], as np.take(x, indices, axis).
class Gather final : public Op {
 public:
  const char* name() const override { return "gather"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 2);
    expect_dtype(name(), node, 1, DType::Int64);
    const Shape& shape = node.input(0).shape;
    const int axis = normalize_axis(name(), node.attributes.integer("axis"), shape.rank());
    Shape result = shape.head(axis);
    for (int64_t size : node.input(1).shape) result.append(size);
    for (int i = axis + 1; i < shape.rank(); ++i) result.append(shape[i]);
    return {node.input(0).dtype, result};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Shape& shape = node.input(0).shape;
    const AxisSplit split =
        split_at(shape, normalize_axis(name(), node.attributes.integer("axis"), shape.rank()));
    const int64_t count = node.input(1).shape.elements();
    const int64_t bytes = split.inner * static_cast<int64_t>(size_of(output.dtype));
    Routine routine;
    routine.tasks = tasks_for(split.outer * count, bytes);
    routine.cost = 2.0 * static_cast<double>(split.outer * count) + 0.1 * static_cast<double>(output.bytes());
    routine.run = [=, tasks = routine.tasks](const Frame& frame, int64_t task) {
      const int64_t* indices = frame.input<int64_t>(1);
      const Range share = part_of(split.outer * count, tasks, task);
      for (int64_t at = share.begin; at < share.end; ++at) {
        const int64_t index = indices[at % count];
        if (index < 0 || index >= split.size) {
          frame.status->wrong_index("gather", index, split.size);
          continue;
        }
        if (bytes > 0)
          std::memcpy(frame.output<char>() + at * bytes,
                      frame.input<char>(0) + (at / count * split.size + index) * bytes,
                      static_cast<size_t>(bytes));
      }
    };
    return routine;
  }

  int64_t index_bound(const Signature& node, int number) const override {
    const Shape& shape = node.input(0).shape;
    return number == 1 ? shape[normalize_axis(name(), node.attributes.integer("axis"), shape.rank())] : -1;
  }

  ListedRows rows_read(const Signature& node, int number) const override {
    const int rank = node.input(0).shape.rank();
    const bool first = normalize_axis(name(), node.attributes.integer("axis"), rank) == 0;
    return number == 0 && first ? ListedRows{1} : ListedRows{};
  }

  void vjp(Vjp& node) const override {
    if (!node.needs(0)) return;
    const Shape& shape = node.input(0).shape();
    const int axis = normalize_axis(name(), node.attributes().integer("axis"), shape.rank());
    node.set(0, apply("scatter_add", {node.seed(), node.input(1)},
                      {{"axis", int64_t{axis}}, {"size", shape[axis]}}));
  }
};

// output[o, indices[i], :] += g[o, i, :], over zeros, in the order of the indices.
class ScatterAdd final : public Op {
 public:
  const char* name() const override { return "scatter_add"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 2);
    expect_not_bool(name(), node, 0);
    expect_dtype(name(), node, 1, DType::Int64);
    const Shape &source = node.input(0).shape, &indices = node.input(1).shape;
    const int axis = static_cast<int>(node.attributes.integer("axis"));
    const int64_t size = node.attributes.integer("size");
    bool fits = axis >= 0 && axis + indices.rank() <= source.rank() && size >= 0;
    for (int i = 0; fits && i < indices.rank(); ++i) fits = source[axis + i] == indices[i];
    if (!fits)
      throw ValueError(concat("scatter_add: shape ", source, " does not fit indices of shape ", indices,
                              " at axis ", axis, " for size ", size));
    Shape result = source.head(axis);
    result.append(size);
    for (int i = axis + indices.rank(); i < source.rank(); ++i) result.append(source[i]);
    return {node.input(0).dtype, result};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const AxisSplit split = split_at(output.shape, static_cast<int>(node.attributes.integer("axis")));
    const int64_t count = node.input(1).shape.elements();
    const bool onto_zeros = node.attributes.flag(over_zeros);
    const int64_t whole = onto_zeros ? 0 : output.shape.elements();
    const int64_t added = node.input(0).shape.elements();
    Routine routine;
    routine.cost = 0.25 * static_cast<double>(whole) + 0.5 * static_cast<double>(added);
    // A task adds to its part of the rows, and reads all indices to find what is for it: parts are few enough
    // for that to cost less than the sums. A lone thread does best to read everything once, in order.
    const int64_t parts = std::clamp<int64_t>((whole + added) / 65536, 1, 16);
    const int64_t most = std::max<int64_t>(1, std::min({parts, split.size, 1 + split.inner / 8}));
    with_any(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const auto cut = [&](int64_t tasks) -> Work {
        return {[=](const Frame& frame, int64_t task) {
                  add_rows<T>(split, count, part_of(split.size, tasks, task), onto_zeros, frame);
                },
                tasks};
      };
      static_cast<Work&>(routine) = cut(most);
      if (most > 1) routine.alone = cut(1);
    });
    return routine;
  }

  ListedRows rows_written(const Signature& node) const override {
    return node.attributes.integer("axis") == 0 ? ListedRows{1} : ListedRows{};
  }

  void vjp(Vjp& node) const override {
    node.set(0, apply("gather", {node.seed(), node.input(1)}, {{"axis", node.attributes().integer("axis")}}));
  }

 private:
  // All that is for the rows [share.begin, share.end) of the output.
  template <class T>
  static void add_rows(const AxisSplit& split, int64_t count, const Range& share, bool onto_zeros,
                       const Frame& frame) {
    const int64_t* indices = frame.input<int64_t>(1);
    for (int64_t o = 0; o < split.outer; ++o) {
      T* out = frame.output<T>() + o * split.size * split.inner;
      if (!onto_zeros) std::fill(out + share.begin * split.inner, out + share.end * split.inner, T(0));
      for (int64_t i = 0; i < count; ++i) {
        const int64_t index = indices[i];
        if (index < 0 || index >= split.size) frame.status->wrong_index("scatter_add", index, split.size);
        if (index < share.begin || index >= share.end) continue;
        const T* g = frame.input<T>(0) + (o * count + i) * split.inner;
        T* to = out + index * split.inner;
        for (int64_t j = 0; j < split.inner; ++j) to[j] = kernels::Sum{}(to[j], g[j]);
      }
    }
  }
};

// indices (...) → (..., depth): 1 at the index, 0 elsewhere.
class OneHot final : public Op {
 public:
  const char* name() const override { return "one_hot"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    expect_dtype(name(), node, 0, DType::Int64);
    const int64_t depth = node.attributes.integer("depth");
    if (depth < 1) throw ValueError(concat("one_hot: depth must be at least 1, got ", depth));
    Shape shape = node.input(0).shape;
    shape.append(depth);
    return {dtype_from_name(node.attributes.text("dtype", "float32")), shape};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const int64_t count = node.input(0).shape.elements(), depth = output.shape.last();
    Routine routine;
    routine.tasks = tasks_for(count, depth);
    routine.cost = 0.2 * static_cast<double>(count * depth);
    with_any(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [count, depth, tasks = routine.tasks](const Frame& frame, int64_t task) {
        const Range share = part_of(count, tasks, task);
        std::fill(frame.output<T>() + share.begin * depth, frame.output<T>() + share.end * depth, T(0));
        for (int64_t i = share.begin; i < share.end; ++i) {
          const int64_t index = frame.input<int64_t>(0)[i];
          if (index < 0 || index >= depth)
            frame.status->wrong_index("one_hot", index, depth);
          else
            frame.output<T>()[i * depth + index] = T(1);
        }
      };
    });
    return routine;
  }

  int64_t index_bound(const Signature& node, int) const override { return node.attributes.integer("depth"); }

  void vjp(Vjp&) const override {}
};

}  // namespace

void add_index_ops(OpList& ops) {
  ops.push_back(std::make_unique<Gather>());
  ops.push_back(std::make_unique<ScatterAdd>());
  ops.push_back(std::make_unique<OneHot>());
}

}  // namespace bpcore
