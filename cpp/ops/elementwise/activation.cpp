// relu, sigmoid, tanh, and their backward passes, which read the output only.
#include <algorithm>

#include "kernels/vector_math.h"
#include "ops/elementwise/activation.h"
#include "ops/elementwise/binary.h"
#include "ops/elementwise/unary.h"

namespace bpcore {

namespace {

template <class T>
void apply_activation(Activation activation, int64_t count, const T* x, T* y) {
  using Vec = kernels::simd::Vec<T>;
  switch (activation) {
    case Activation::None:
      break;
    case Activation::Relu:
      for (int64_t i = 0; i < count; ++i) y[i] = x[i] <= T(0) ? T(0) : x[i];  // NaN stays NaN
      break;
    case Activation::Sigmoid:
      kernels::map_vectors<T>(count, x, y, [](Vec v) { return kernels::sigmoid<T>(v); });
      break;
    case Activation::Tanh:
      kernels::map_vectors<T>(count, x, y, [](Vec v) { return kernels::hyperbolic_tangent<T>(v); });
      break;
  }
}

struct Relu {
  static constexpr const char* name = "relu";
  static constexpr Accepts accepts = Accepts::Floats;
  static constexpr double nanoseconds = 0.2;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    apply_activation(Activation::Relu, count, x, y);
  }
  static void vjp(Vjp& node) { node.set(0, activation_gradient(name, node.seed(), node.output())); }
};

struct Sigmoid {
  static constexpr const char* name = "sigmoid";
  static constexpr Accepts accepts = Accepts::Floats;
  static constexpr double nanoseconds = 0.6;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    apply_activation(Activation::Sigmoid, count, x, y);
  }
  static void vjp(Vjp& node) { node.set(0, activation_gradient(name, node.seed(), node.output())); }
};

struct Tanh {
  static constexpr const char* name = "tanh";
  static constexpr Accepts accepts = Accepts::Floats;
  static constexpr double nanoseconds = 0.8;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    apply_activation(Activation::Tanh, count, x, y);
  }
  static void vjp(Vjp& node) { node.set(0, activation_gradient(name, node.seed(), node.output())); }
};

// Backward: (gradient g of the output, output y) → gradient of the input.

struct ReluGradient {
  static constexpr const char* name = "relu_gradient";
  static constexpr Accepts accepts = Accepts::Floats;
  template <class T>
  T operator()(T g, T y) const {
    return y > T(0) ? g : T(0);
  }
  static void vjp(Vjp& node) {
    if (node.needs(0)) node.set(0, apply(name, {node.seed(), node.input(1)}));
  }
};

struct SigmoidGradient {  // g · y · (1 - y)
  static constexpr const char* name = "sigmoid_gradient";
  static constexpr Accepts accepts = Accepts::Floats;
  template <class T>
  T operator()(T g, T y) const {
    return g * y * (T(1) - y);
  }
  static void vjp(Vjp& node) {
    if (node.needs(0)) node.set(0, apply(name, {node.seed(), node.input(1)}));
    if (node.needs(1)) node.set(1, node.seed() * node.input(0) * (1 - 2 * node.input(1)));
  }
};

struct TanhGradient {  // g · (1 - y²)
  static constexpr const char* name = "tanh_gradient";
  static constexpr Accepts accepts = Accepts::Floats;
  template <class T>
  T operator()(T g, T y) const {
    return g * (T(1) - y * y);
  }
  static void vjp(Vjp& node) {
    if (node.needs(0)) node.set(0, apply(name, {node.seed(), node.input(1)}));
    if (node.needs(1)) node.set(1, -2 * node.seed() * node.input(0) * node.input(1));
  }
};

}  // namespace

Activation activation_from_name(const char* op, const std::string& name) {
  if (name.empty()) return Activation::None;
  if (name == "relu") return Activation::Relu;
  if (name == "sigmoid") return Activation::Sigmoid;
  if (name == "tanh") return Activation::Tanh;
  throw ValueError(concat(op, ": activation must be relu, sigmoid or tanh, not ", name));
}

Value activation_gradient(const std::string& activation, Value seed, Value output) {
  return apply((activation + "_gradient").c_str(), {seed, output});
}

void activate(Activation activation, int64_t count, float* x) {
  apply_activation<float>(activation, count, x, x);
}
void activate(Activation activation, int64_t count, double* x) {
  apply_activation<double>(activation, count, x, x);
}

void add_activation_ops(OpList& ops) {
  ops.push_back(std::make_unique<UnaryOp<Relu>>());
  ops.push_back(std::make_unique<UnaryOp<Sigmoid>>());
  ops.push_back(std::make_unique<UnaryOp<Tanh>>());
  ops.push_back(std::make_unique<BinaryOp<ReluGradient>>());
  ops.push_back(std::make_unique<BinaryOp<SigmoidGradient>>());
  ops.push_back(std::make_unique<BinaryOp<TanhGradient>>());
}

}  // namespace bpcore
