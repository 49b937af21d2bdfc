// exp, expm1, log, log1p, softplus, erf, sin, cos, sqrt, abs, neg, sign, floor, ceil, round, cast.
#include "ops/elementwise/unary.h"

#include <cmath>

#include "kernels/elementwise.h"
#include "kernels/trigonometry.h"
#include "kernels/vector_math.h"

namespace bpcore {

namespace {

struct Exp {
  static constexpr const char* name = "exp";
  static constexpr Accepts accepts = Accepts::Floats;
  static constexpr double nanoseconds = 0.4;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    kernels::map_vectors<T>(count, x, y, [](kernels::simd::Vec<T> v) { return kernels::exponential<T>(v); });
  }
  static void vjp(Vjp& node) { node.set(0, node.seed() * node.output()); }
};

struct Expm1 {
  static constexpr const char* name = "expm1";
  static constexpr Accepts accepts = Accepts::Floats;
  static constexpr double nanoseconds = 0.5;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    kernels::map_vectors<T>(count, x, y,
                            [](kernels::simd::Vec<T> v) { return kernels::exponential_minus_one<T>(v); });
  }
  static void vjp(Vjp& node) {  // not output + 1, which has lost the small ones
    node.set(0, node.seed() * apply("exp", {node.input(0)}));
  }
};

struct Log {
  static constexpr const char* name = "log";
  static constexpr Accepts accepts = Accepts::Floats;
  static constexpr double nanoseconds = 0.6;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    kernels::map_vectors<T>(count, x, y, [](kernels::simd::Vec<T> v) { return kernels::logarithm<T>(v); });
  }
  static void vjp(Vjp& node) { node.set(0, node.seed() / node.input(0)); }
};

struct Log1p {
  static constexpr const char* name = "log1p";
  static constexpr Accepts accepts = Accepts::Floats;
  static constexpr double nanoseconds = 0.8;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    kernels::map_vectors<T>(count, x, y,
                            [](kernels::simd::Vec<T> v) { return kernels::logarithm_of_one_plus<T>(v); });
  }
  static void vjp(Vjp& node) { node.set(0, node.seed() / (1.0 + node.input(0))); }
};

struct Softplus {
  static constexpr const char* name = "softplus";
  static constexpr Accepts accepts = Accepts::Floats;
  static constexpr double nanoseconds = 1.0;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    kernels::map_vectors<T>(count, x, y, [](kernels::simd::Vec<T> v) { return kernels::softplus<T>(v); });
  }
  static void vjp(Vjp& node) { node.set(0, node.seed() * apply("sigmoid", {node.input(0)})); }
};

struct Erf {
  static constexpr const char* name = "erf";
  static constexpr Accepts accepts = Accepts::Floats;
  static constexpr double nanoseconds = 1.0;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    kernels::map_vectors<T>(count, x, y,
                            [](kernels::simd::Vec<T> v) { return kernels::error_function<T>(v); });
  }
  static void vjp(Vjp& node) {  // g · 2/√π · exp(-x²)
    const Value x = node.input(0);
    node.set(0, 1.12837916709551257390 * node.seed() * apply("exp", {-(x * x)}));
  }
};

struct Sin {
  static constexpr const char* name = "sin";
  static constexpr Accepts accepts = Accepts::Floats;
  static constexpr double nanoseconds = 0.8;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    kernels::map_wave<kernels::Wave::Sin>(count, x, y);
  }
  static void vjp(Vjp& node) { node.set(0, node.seed() * apply("cos", {node.input(0)})); }
};

struct Cos {
  static constexpr const char* name = "cos";
  static constexpr Accepts accepts = Accepts::Floats;
  static constexpr double nanoseconds = 0.8;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    kernels::map_wave<kernels::Wave::Cos>(count, x, y);
  }
  static void vjp(Vjp& node) { node.set(0, -(node.seed() * apply("sin", {node.input(0)}))); }
};

struct Sqrt {
  static constexpr const char* name = "sqrt";
  static constexpr Accepts accepts = Accepts::Floats;
  static constexpr double nanoseconds = 0.5;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    kernels::unary(count, x, y, [](T a) { return std::sqrt(a); });  // exact
  }
  static void vjp(Vjp& node) { node.set(0, 0.5 * node.seed() / node.output()); }
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
  static constexpr Accepts accepts = Accepts::Numbers;
  static constexpr double nanoseconds = 0.2;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    kernels::unary(count, x, y, negated<T>);
  }
  static void vjp(Vjp& node) { node.set(0, -node.seed()); }
};

struct Abs {
  static constexpr const char* name = "abs";
  static constexpr Accepts accepts = Accepts::Numbers;
  static constexpr double nanoseconds = 0.2;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    kernels::unary(count, x, y, [](T a) {
      if constexpr (std::is_floating_point_v<T>)
        return std::fabs(a);
      else
        return a < T(0) ? negated(a) : a;
    });
  }
  static void vjp(Vjp& node) { node.set(0, node.seed() * apply("sign", {node.input(0)})); }
};

struct Sign {
  static constexpr const char* name = "sign";
  static constexpr Accepts accepts = Accepts::Numbers;
  static constexpr double nanoseconds = 0.2;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    // 0 and NaN as they are
    kernels::unary(count, x, y, [](T a) { return a > T(0) ? T(1) : a < T(0) ? static_cast<T>(-1) : a; });
  }
  static void vjp(Vjp&) {}
};

// Whole numbers next to a number; integers are their own. Function: of floats.
template <class T, class Function>
void round_each(int64_t count, const T* x, T* y, Function function) {
  kernels::unary(count, x, y, [&](T a) {
    if constexpr (std::is_floating_point_v<T>)
      return function(a);
    else
      return a;
  });
}

struct Floor {
  static constexpr const char* name = "floor";
  static constexpr Accepts accepts = Accepts::Numbers;
  static constexpr double nanoseconds = 0.2;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    round_each(count, x, y, [](auto a) { return std::floor(a); });
  }
  static void vjp(Vjp&) {}
};

struct Ceil {
  static constexpr const char* name = "ceil";
  static constexpr Accepts accepts = Accepts::Numbers;
  static constexpr double nanoseconds = 0.2;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    round_each(count, x, y, [](auto a) { return std::ceil(a); });
  }
  static void vjp(Vjp&) {}
};

struct Round {
  static constexpr const char* name = "round";
  static constexpr Accepts accepts = Accepts::Numbers;
  static constexpr double nanoseconds = 0.2;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    round_each(count, x, y, [](auto a) { return std::nearbyint(a); });  // halves to even
  }
  static void vjp(Vjp&) {}
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

class Cast final : public ElementwiseOp {
 public:
  const char* name() const override { return "cast"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    return {dtype_from_name(node.attributes.text("dtype")), node.input(0).shape};
  }

  ElementLoop element_loop(const Signature& node, const TensorType& output) const override {
    ElementLoop loop{nullptr, 0.3};
    with_any(node.input(0).dtype, [&](auto from) {
      with_any(output.dtype, [&](auto to) {
        using From = typename decltype(from)::type;
        using To = typename decltype(to)::type;
        loop.run = [](int64_t count, void* out, const void* const* inputs, const bool*) {
          kernels::unary(count, static_cast<const From*>(inputs[0]), static_cast<To*>(out),
                         [](From x) { return convert<To>(x); });
        };
      });
    });
    return loop;
  }

  void vjp(Vjp& node) const override {
    if (is_float(node.output().dtype())) node.set(0, cast(node.seed(), node.input(0).dtype()));
  }
};

}  // namespace

void add_unary_ops(OpList& ops) {
  ops.push_back(std::make_unique<UnaryOp<Exp>>());
  ops.push_back(std::make_unique<UnaryOp<Expm1>>());
  ops.push_back(std::make_unique<UnaryOp<Log>>());
  ops.push_back(std::make_unique<UnaryOp<Log1p>>());
  ops.push_back(std::make_unique<UnaryOp<Softplus>>());
  ops.push_back(std::make_unique<UnaryOp<Erf>>());
  ops.push_back(std::make_unique<UnaryOp<Sin>>());
  ops.push_back(std::make_unique<UnaryOp<Cos>>());
  ops.push_back(std::make_unique<UnaryOp<Sqrt>>());
  ops.push_back(std::make_unique<UnaryOp<Neg>>());
  ops.push_back(std::make_unique<UnaryOp<Abs>>());
  ops.push_back(std::make_unique<UnaryOp<Sign>>());
  ops.push_back(std::make_unique<UnaryOp<Floor>>());
  ops.push_back(std::make_unique<UnaryOp<Ceil>>());
  ops.push_back(std::make_unique<UnaryOp<Round>>());
  ops.push_back(std::make_unique<Cast>());
}

}  // namespace bpcore
