// Comparisons, logic and where. Their results are masks; no gradient flows through a mask.
#include "ops/binary.h"

namespace bpcore {

namespace {

#define BPCORE_COMPARISON(Name, op_name, expression) \
  struct Name {                                      \
    static constexpr const char* name = op_name;     \
    static constexpr bool float_only = false;        \
    template <class T>                               \
    Bool operator()(T a, T b) const {                \
      return expression;                             \
    }                                                \
    static void vjp(Vjp&) {}                         \
  };
BPCORE_COMPARISON(Equal, "equal", a == b)
BPCORE_COMPARISON(NotEqual, "not_equal", a != b)
BPCORE_COMPARISON(Less, "less", a < b)
BPCORE_COMPARISON(LessEqual, "less_equal", a <= b)
BPCORE_COMPARISON(Greater, "greater", a > b)
BPCORE_COMPARISON(GreaterEqual, "greater_equal", a >= b)
#undef BPCORE_COMPARISON

class LogicalOp final : public Op {
 public:
  LogicalOp(const char* name, bool is_and) : name_(name), is_and_(is_and) {}
  const char* name() const override { return name_; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 2);
    for (int number : {0, 1}) expect_dtype(name(), node, number, DType::Bool);
    return {DType::Bool, broadcast(name(), node.input(0).shape, node.input(1).shape)};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const auto walk = kernels::broadcast_walk<2>(output.shape, {node.input(0).shape, node.input(1).shape});
    const int64_t elements = output.shape.elements();
    Routine routine;
    routine.tasks = kernels::elementwise_tasks(elements);
    routine.cost = 0.1 * static_cast<double>(elements);
    routine.run = [walk, elements, is_and = is_and_](const Frame& frame, int64_t task) {
      const auto range = kernels::elementwise_range(elements, task);
      const Bool *a = frame.input<Bool>(0), *b = frame.input<Bool>(1);
      if (is_and)
        kernels::binary(walk, range, frame.output<Bool>(), a, b,
                        [](Bool x, Bool y) -> Bool { return x & y; });
      else
        kernels::binary(walk, range, frame.output<Bool>(), a, b,
                        [](Bool x, Bool y) -> Bool { return x | y; });
    };
    return routine;
  }

  void vjp(Vjp&) const override {}

 private:
  const char* name_;
  bool is_and_;
};

// condition ? a : b, all three broadcast.
class Where final : public Op {
 public:
  const char* name() const override { return "where"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 3);
    expect_dtype(name(), node, 0, DType::Bool);
    expect_same_dtype(name(), node, 1, 2);
    return {
        node.input(1).dtype,
        broadcast(name(), broadcast(name(), node.input(0).shape, node.input(1).shape), node.input(2).shape)};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const auto walk = kernels::broadcast_walk<3>(
        output.shape, {node.input(0).shape, node.input(1).shape, node.input(2).shape});
    const int64_t elements = output.shape.elements();
    Routine routine;
    routine.tasks = kernels::elementwise_tasks(elements);
    routine.cost = 0.5 * static_cast<double>(elements);
    with_any(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [walk, elements](const Frame& frame, int64_t task) {
        kernels::select(walk, kernels::elementwise_range(elements, task), frame.output<T>(),
                        frame.input<Bool>(0), frame.input<T>(1), frame.input<T>(2));
      };
    });
    return routine;
  }

  void vjp(Vjp& node) const override {
    const Value condition = node.input(0), seed = node.seed();
    if (node.needs(1)) node.set(1, bpcore::where(condition, seed, seed.scalar(0)));
    if (node.needs(2)) node.set(2, bpcore::where(condition, seed.scalar(0), seed));
  }
};

}  // namespace

void add_comparison_ops(OpList& ops) {
  ops.push_back(std::make_unique<BinaryOp<Equal, true>>());
  ops.push_back(std::make_unique<BinaryOp<NotEqual, true>>());
  ops.push_back(std::make_unique<BinaryOp<Less, true>>());
  ops.push_back(std::make_unique<BinaryOp<LessEqual, true>>());
  ops.push_back(std::make_unique<BinaryOp<Greater, true>>());
  ops.push_back(std::make_unique<BinaryOp<GreaterEqual, true>>());
  ops.push_back(std::make_unique<LogicalOp>("logical_and", true));
  ops.push_back(std::make_unique<LogicalOp>("logical_or", false));
  ops.push_back(std::make_unique<Where>());
}

}  // namespace bpcore
