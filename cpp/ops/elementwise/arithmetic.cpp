// add, subtract, multiply, divide, power, maximum, minimum, with broadcasting.
#include <cmath>

#include "ops/elementwise/binary.h"

namespace bpcore {

namespace {

struct Add {
  static constexpr const char* name = "add";
  static constexpr Accepts accepts = Accepts::Numbers;
  template <class T>
  T operator()(T a, T b) const {
    return wrapping(a, b, [](auto x, auto y) { return x + y; });
  }
  static void vjp(Vjp& node) {
    node.set(0, node.seed());
    node.set(1, node.seed());
  }
};

struct Subtract {
  static constexpr const char* name = "subtract";
  static constexpr Accepts accepts = Accepts::Numbers;
  template <class T>
  T operator()(T a, T b) const {
    return wrapping(a, b, [](auto x, auto y) { return x - y; });
  }
  static void vjp(Vjp& node) {
    node.set(0, node.seed());
    if (node.needs(1)) node.set(1, -node.seed());
  }
};

struct Multiply {
  static constexpr const char* name = "multiply";
  static constexpr Accepts accepts = Accepts::Numbers;
  template <class T>
  T operator()(T a, T b) const {
    return wrapping(a, b, [](auto x, auto y) { return x * y; });
  }
  static void vjp(Vjp& node) {
    if (node.needs(0)) node.set(0, node.seed() * node.input(1));
    if (node.needs(1)) node.set(1, node.seed() * node.input(0));
  }
};

struct Divide {
  static constexpr const char* name = "divide";
  static constexpr Accepts accepts = Accepts::Floats;
  template <class T>
  T operator()(T a, T b) const {
    return a / b;
  }
  static void vjp(Vjp& node) {
    const Value share = node.seed() / node.input(1);
    node.set(0, share);
    if (node.needs(1)) node.set(1, -(share * node.output()));
  }
};

struct Power {
  static constexpr const char* name = "power";
  static constexpr Accepts accepts = Accepts::Floats;
  template <class T>
  T operator()(T a, T b) const {
    return std::pow(a, b);
  }
  // d/da = b · a^(b-1), zero for b = 0 also at a = 0; d/db = a^b · log a, zero at a = 0 (PyTorch's choices).
  static void vjp(Vjp& node) {
    const Value a = node.input(0), b = node.input(1), seed = node.seed();
    if (node.needs(0)) {
      double exponent = 0;
      const Value slope = b * apply("power", {a, b - 1});
      const bool plain = node.graph().scalar_value(b.id(), &exponent) && exponent != 0;
      node.set(0, seed * (plain ? slope : where(apply("equal", {b, b.scalar(0)}), slope.scalar(0), slope)));
    }
    if (node.needs(1)) {
      const Value is_zero = apply("equal", {a, a.scalar(0)});
      node.set(1, seed * where(is_zero, a.scalar(0),
                               node.output() * apply("log", {where(is_zero, a.scalar(1), a)})));
    }
  }
};

// Where both are equal, each gets half of the gradient.
void extreme_vjp(Vjp& node, const char* wins) {
  const Value a = node.input(0), b = node.input(1), seed = node.seed();
  const Value tie = where(apply("equal", {a, b}), 0.5 * seed, seed.scalar(0));
  if (node.needs(0)) node.set(0, where(apply(wins, {a, b}), seed, tie));
  if (node.needs(1)) node.set(1, where(apply(wins, {b, a}), seed, tie));
}

// NaN wins over everything, as in NumPy.
struct Maximum {
  static constexpr const char* name = "maximum";
  static constexpr Accepts accepts = Accepts::Numbers;
  template <class T>
  T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
  static void vjp(Vjp& node) { extreme_vjp(node, "greater"); }
};

struct Minimum {
  static constexpr const char* name = "minimum";
  static constexpr Accepts accepts = Accepts::Numbers;
  template <class T>
  T operator()(T a, T b) const {
    return a < b || a != a ? a : b;
  }
  static void vjp(Vjp& node) { extreme_vjp(node, "less"); }
};

}  // namespace

void add_arithmetic_ops(OpList& ops) {
  ops.push_back(std::make_unique<BinaryOp<Add>>());
  ops.push_back(std::make_unique<BinaryOp<Subtract>>());
  ops.push_back(std::make_unique<BinaryOp<Multiply>>());
  ops.push_back(std::make_unique<BinaryOp<Divide>>());
  ops.push_back(std::make_unique<BinaryOp<Power>>());
  ops.push_back(std::make_unique<BinaryOp<Maximum>>());
  ops.push_back(std::make_unique<BinaryOp<Minimum>>());
}

}  // namespace bpcore
