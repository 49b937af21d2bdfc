// exp, log, sqrt, abs, neg, sign, logical_not, cast.
#include <cmath>

#include "graph/autodiff.h"
#include "kernels/elementwise.h"
#include "kernels/vector_math.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

// Vectorised float functions. Rule has: name; `block`: Array → Array; `pad`; vjp.
template <class Rule>
class MathOp final : public Op {
 public:
  const char* name() const override { return Rule::name; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    expect_float(name(), node, 0);
    return node.input(0);
  }

  Routine compile(const Signature&, const TensorType& output) const override {
    const int64_t elements = output.shape.elements();
    Routine routine;
    routine.tasks = kernels::elementwise_tasks(elements);
    routine.cost = 1.0 * static_cast<double>(elements);
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [elements](const Frame& frame, int64_t task) {
        const auto range = kernels::elementwise_range(elements, task);
        kernels::map_blocks<T>(range.end - range.begin, frame.input<T>(0) + range.begin,
                               frame.output<T>() + range.begin, T(1),
                               [](const kernels::MathBlock<T>& x) { return Rule::template block<T>(x); });
      };
    });
    return routine;
  }

  void vjp(Vjp& node) const override { Rule::vjp(node); }
};

struct Exp {
  static constexpr const char* name = "exp";
  template <class T>
  static kernels::MathBlock<T> block(const kernels::MathBlock<T>& x) {
    return kernels::exponential<T>(x);
  }
  static void vjp(Vjp& node) { node.set(0, node.seed() * node.output()); }
};

struct Log {
  static constexpr const char* name = "log";
  template <class T>
  static kernels::MathBlock<T> block(const kernels::MathBlock<T>& x) {
    return kernels::logarithm<T>(x);
  }
  static void vjp(Vjp& node) { node.set(0, node.seed() / node.input(0)); }
};

struct Sqrt {
  static constexpr const char* name = "sqrt";
  template <class T>
  static kernels::MathBlock<T> block(const kernels::MathBlock<T>& x) {
    kernels::MathBlock<T> root;  // Eigen's is an approximation
    for (int i = 0; i < kernels::math_block<T>; ++i) root[i] = std::sqrt(x[i]);
    return root;
  }
  static void vjp(Vjp& node) { node.set(0, 0.5 * node.seed() / node.output()); }
};

// Simple functions of any number. Rule has: name; operator(); vjp.
template <class Rule>
class SimpleOp final : public Op {
 public:
  const char* name() const override { return Rule::name; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    expect_not_bool(name(), node, 0);
    return node.input(0);
  }

  Routine compile(const Signature&, const TensorType& output) const override {
    const int64_t elements = output.shape.elements();
    Routine routine;
    routine.tasks = kernels::elementwise_tasks(elements);
    routine.cost = 0.2 * static_cast<double>(elements);
    with_any(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [elements](const Frame& frame, int64_t task) {
        kernels::unary(kernels::elementwise_range(elements, task), frame.output<T>(), frame.input<T>(0),
                       Rule{});
      };
    });
    return routine;
  }

  void vjp(Vjp& node) const override { Rule::vjp(node); }
};

template <class T>
T negated(T x) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(uint64_t{0} - static_cast<uint64_t>(x));  // the least integer is its own negative
  else
    return -x;
}

struct Neg {
  static constexpr const char* name = "neg";
  template <class T>
  T operator()(T x) const {
    return negated(x);
  }
  static void vjp(Vjp& node) { node.set(0, -node.seed()); }
};

struct Abs {
  static constexpr const char* name = "abs";
  template <class T>
  T operator()(T x) const {
    if constexpr (std::is_floating_point_v<T>)
      return std::fabs(x);
    else
      return x < T(0) ? negated(x) : x;
  }
  static void vjp(Vjp& node) { node.set(0, node.seed() * apply("sign", {node.input(0)})); }
};

struct Sign {
  static constexpr const char* name = "sign";
  template <class T>
  T operator()(T x) const {
    return x > T(0) ? T(1) : x < T(0) ? static_cast<T>(-1) : x;  // 0 and NaN as they are
  }
  static void vjp(Vjp&) {}
};

class LogicalNot final : public Op {
 public:
  const char* name() const override { return "logical_not"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    expect_dtype(name(), node, 0, DType::Bool);
    return node.input(0);
  }

  Routine compile(const Signature&, const TensorType& output) const override {
    const int64_t elements = output.shape.elements();
    Routine routine;
    routine.tasks = kernels::elementwise_tasks(elements);
    routine.cost = 0.1 * static_cast<double>(elements);
    routine.run = [elements](const Frame& frame, int64_t task) {
      kernels::unary(kernels::elementwise_range(elements, task), frame.output<Bool>(), frame.input<Bool>(0),
                     [](Bool x) -> Bool { return x ^ 1; });
    };
    return routine;
  }

  void vjp(Vjp&) const override {}
};

// A float that int64 cannot hold, or NaN, becomes the least integer, as NumPy gives on x86.
template <class To, class From>
To convert(From x) {
  if constexpr (std::is_same_v<To, Bool>) {
    return x != From(0);
  } else if constexpr (std::is_same_v<To, int64_t> && std::is_floating_point_v<From>) {
    return x >= From(-0x1p63) && x < From(0x1p63) ? static_cast<int64_t>(x) : INT64_MIN;
  } else {
    return static_cast<To>(x);
  }
}

class Cast final : public Op {
 public:
  const char* name() const override { return "cast"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    return {dtype_from_name(node.attributes.text("dtype")), node.input(0).shape};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const int64_t elements = output.shape.elements();
    Routine routine;
    routine.tasks = kernels::elementwise_tasks(elements);
    routine.cost = 0.3 * static_cast<double>(elements);
    with_any(node.input(0).dtype, [&](auto from) {
      with_any(output.dtype, [&](auto to) {
        using From = typename decltype(from)::type;
        using To = typename decltype(to)::type;
        routine.run = [elements](const Frame& frame, int64_t task) {
          kernels::unary(kernels::elementwise_range(elements, task), frame.output<To>(), frame.input<From>(0),
                         [](From x) { return convert<To>(x); });
        };
      });
    });
    return routine;
  }

  void vjp(Vjp& node) const override {
    if (is_float(node.output().dtype())) node.set(0, cast(node.seed(), node.input(0).dtype()));
  }
};

}  // namespace

void add_unary_ops(OpList& ops) {
  ops.push_back(std::make_unique<MathOp<Exp>>());
  ops.push_back(std::make_unique<MathOp<Log>>());
  ops.push_back(std::make_unique<MathOp<Sqrt>>());
  ops.push_back(std::make_unique<SimpleOp<Neg>>());
  ops.push_back(std::make_unique<SimpleOp<Abs>>());
  ops.push_back(std::make_unique<SimpleOp<Sign>>());
  ops.push_back(std::make_unique<LogicalNot>());
  ops.push_back(std::make_unique<Cast>());
}

}  // namespace bpcore
