// gelu and its backward pass, each one read of its input: as a chain of multiplications around erf, what the
// derivative needs of it would be kept in memory.
#include "kernels/gelu.h"

#include "ops/elementwise/unary.h"

namespace bpcore {

namespace {

Value distribution(Value x) { return 0.5 * (1.0 + apply("erf", {0.70710678118654752440 * x})); }

struct Gelu {
  static constexpr const char* name = "gelu";
  static constexpr Accepts accepts = Accepts::Floats;
  static constexpr double nanoseconds = 0.6;
  template <class T>
  static void run(int64_t count, const T* x, T* y) {
    kernels::map_vectors<T>(count, x, y, [](kernels::simd::Vec<T> v) { return kernels::gelu<T>(v); });
  }
  static void vjp(Vjp& node) { node.set(0, apply("gelu_gradient", {node.seed(), node.input(0)})); }
};

// seed, x (of one shape) → seed · (Φ(x) + x · φ(x))
class GeluGradient final : public ElementwiseOp {
 public:
  const char* name() const override { return "gelu_gradient"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 2);
    expect_float(name(), node, 0);
    expect_same_dtype(name(), node, 0, 1);
    if (node.input(0).shape != node.input(1).shape)
      throw ValueError(
          concat(name(), ": seed of shape ", node.input(0).shape, " for input of ", node.input(1).shape));
    return node.input(0);
  }

  ElementLoop element_loop(const Signature&, const TensorType& output) const override {
    ElementLoop loop{nullptr, 0.6};
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      loop.run = [](int64_t count, void* out, const void* const* inputs, const bool*) {
        kernels::gelu_gradient(count, static_cast<const T*>(inputs[0]), static_cast<const T*>(inputs[1]),
                               static_cast<T*>(out));
      };
    });
    return loop;
  }

  Value decompose(const std::vector<Value>& inputs, const Attributes&) const override {
    const Value seed = inputs[0], x = inputs[1];
    const Value density = 0.39894228040143267794 * apply("exp", {-0.5 * (x * x)});
    return seed * (distribution(x) + x * density);
  }
};

}  // namespace

void add_gelu_ops(OpList& ops) {
  ops.push_back(std::make_unique<UnaryOp<Gelu>>());
  ops.push_back(std::make_unique<GeluGradient>());
}

}  // namespace bpcore
