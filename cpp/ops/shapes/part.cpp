// Records: how an op has several results. Its output is one 1-D array; each result is a part of it, a view at
// an offset. The derivative of the whole is asked for its parts in turn (graph/simplify): those that are
// there come as they are, without a copy, the others are zeros by construction.
#include <cstring>

#include "graph/autodiff.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

// Throws unless `count` elements from `offset` on lie within `size`.
void expect_within(const char* op, int64_t offset, int64_t count, int64_t size) {
  if (offset < 0 || count > size || offset > size - count)
    throw ValueError(
        concat(op, ": ", count, " elements from ", offset, " on do not lie within ", size, " elements"));
}

class Part final : public Op {
 public:
  const char* name() const override { return "part"; }

  // record (size) → the elements from `offset` on, in `shape`
  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    const Shape& record = node.input(0).shape;
    const Shape shape(node.attributes.integers("shape"));
    if (record.rank() != 1) throw ValueError(concat(name(), ": expected one axis, got shape ", record));
    expect_within(name(), node.attributes.integer("offset"), shape.elements(), record[0]);
    return {node.input(0).dtype, shape};
  }

  bool is_view() const override { return true; }
  int64_t view_offset(const Signature& node) const override {
    return node.attributes.integer("offset") * static_cast<int64_t>(size_of(node.input(0).dtype));
  }
  Routine compile(const Signature&, const TensorType&) const override { return {}; }

  void vjp(Vjp& node) const override {
    node.set(0, apply("part_gradient", {node.seed()},
                      {{"offset", node.attributes().integer("offset")},
                       {"size", node.input(0).shape().elements()}}));
  }
};

class PartGradient final : public Op {
 public:
  const char* name() const override { return "part_gradient"; }

  // part → record (size): zeros but for the part
  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    const int64_t size = node.attributes.integer("size");
    expect_within(name(), node.attributes.integer("offset"), node.input(0).shape.elements(), size);
    return {node.input(0).dtype, Shape{size}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const int64_t element = static_cast<int64_t>(size_of(output.dtype));
    const int64_t begin = node.attributes.integer("offset") * element, bytes = node.input(0).bytes();
    const int64_t behind = output.bytes() - begin - bytes;
    Routine routine;
    routine.cost = 0.05 * static_cast<double>(output.bytes());
    routine.run = [=](const Frame& frame, int64_t) {
      char* to = frame.output<char>();
      if (begin > 0) std::memset(to, 0, static_cast<size_t>(begin));
      if (bytes > 0) std::memcpy(to + begin, frame.input<char>(0), static_cast<size_t>(bytes));
      if (behind > 0) std::memset(to + begin + bytes, 0, static_cast<size_t>(behind));
    };
    return routine;
  }

  void vjp(Vjp& node) const override {
    node.set(0, part(node.seed(), node.attributes().integer("offset"), node.input(0).shape()));
  }
};

}  // namespace

void add_part_ops(OpList& ops) {
  ops.push_back(std::make_unique<Part>());
  ops.push_back(std::make_unique<PartGradient>());
}

}  // namespace bpcore
