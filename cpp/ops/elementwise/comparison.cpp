// Comparisons, logic and where. Their results are masks; no gradient flows through a mask.
#include "ops/elementwise/binary.h"
#include "ops/elementwise/unary.h"

namespace bpcore {

namespace {

#define BPCORE_PREDICATE(Name, op_name, accepted, expression) \
  struct Name {                                               \
    static constexpr const char* name = op_name;              \
    static constexpr Accepts accepts = accepted;              \
    template <class T>                                        \
    Bool operator()(T a, T b) const {                         \
      return expression;                                      \
    }                                                         \
    static void vjp(Vjp&) {}                                  \
  };
BPCORE_PREDICATE(Equal, "equal", Accepts::Anything, a == b)
BPCORE_PREDICATE(NotEqual, "not_equal", Accepts::Anything, a != b)
BPCORE_PREDICATE(Less, "less", Accepts::Anything, a < b)
BPCORE_PREDICATE(LessEqual, "less_equal", Accepts::Anything, a <= b)
BPCORE_PREDICATE(Greater, "greater", Accepts::Anything, a > b)
BPCORE_PREDICATE(GreaterEqual, "greater_equal", Accepts::Anything, a >= b)
BPCORE_PREDICATE(LogicalAnd, "logical_and", Accepts::Bools, a& b)
BPCORE_PREDICATE(LogicalOr, "logical_or", Accepts::Bools, a | b)
#undef BPCORE_PREDICATE

struct LogicalNot {
  static constexpr const char* name = "logical_not";
  static constexpr Accepts accepts = Accepts::Bools;
  static constexpr double nanoseconds = 0.1;
  static void run(int64_t count, const Bool* x, Bool* y) {
    kernels::unary(count, x, y, [](Bool a) -> Bool { return a ^ 1; });
  }
  static void vjp(Vjp&) {}
};

// condition ? a : b, all three broadcast.
class Where final : public ElementwiseOp {
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

  ElementLoop element_loop(const Signature&, const TensorType& output) const override {
    ElementLoop loop{nullptr, 0.5};
    with_any(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      loop.run = [](int64_t count, void* out, const void* const* inputs, const bool* moves) {
        kernels::select(count, static_cast<T*>(out), static_cast<const Bool*>(inputs[0]), moves[0],
                        static_cast<const T*>(inputs[1]), moves[1], static_cast<const T*>(inputs[2]),
                        moves[2]);
      };
    });
    return loop;
  }

  void vjp(Vjp& node) const override {
    const Value condition = node.input(0), seed = node.seed();
    if (node.needs(1)) node.set(1, bpcore::where(condition, seed, seed.scalar(0)));
    if (node.needs(2)) node.set(2, bpcore::where(condition, seed.scalar(0), seed));
  }
};

}  // namespace

void add_comparison_ops(OpList& ops) {
  ops.push_back(std::make_unique<BinaryOp<Equal>>());
  ops.push_back(std::make_unique<BinaryOp<NotEqual>>());
  ops.push_back(std::make_unique<BinaryOp<Less>>());
  ops.push_back(std::make_unique<BinaryOp<LessEqual>>());
  ops.push_back(std::make_unique<BinaryOp<Greater>>());
  ops.push_back(std::make_unique<BinaryOp<GreaterEqual>>());
  ops.push_back(std::make_unique<BinaryOp<LogicalAnd>>());
  ops.push_back(std::make_unique<BinaryOp<LogicalOr>>());
  ops.push_back(std::make_unique<UnaryOp<LogicalNot>>());
  ops.push_back(std::make_unique<Where>());
}

}  // namespace bpcore
