// Ops that draw random numbers: dropout, random_uniform, random_normal, random_beta.
//
// `stream` tells the nodes of a graph apart. With it and the run's key, a number is a function of its
// element's index: nodes of one stream, as in forward and backward pass, see the same numbers.
#include <cmath>

#include "graph/autodiff.h"
#include "kernels/philox.h"
#include "ops/elementwise/elementwise.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

uint64_t stream_of(const Signature& node) { return static_cast<uint64_t>(node.attributes.integer("stream")); }

// x / (1 - rate), but 0 for a random share `rate` of the elements, in steps of 2^-32.
class Dropout final : public ElementwiseOp {
 public:
  const char* name() const override { return "dropout"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    expect_float(name(), node, 0);
    const double rate = node.attributes.number("rate");
    if (!(rate >= 0 && rate <= 1)) throw ValueError(concat(name(), ": rate must lie in [0, 1], got ", rate));
    return node.input(0);
  }

  ElementLoop element_loop(const Signature& node, const TensorType& output) const override {
    const double rate = node.attributes.number("rate");
    ElementLoop loop{nullptr, 0.6};
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      if (rate == 1) {
        loop.run = [](int64_t count, void* out, const void* const*, const bool*) {
          std::fill_n(static_cast<T*>(out), count, T(0));
        };
        return;
      }
      const auto threshold = static_cast<uint32_t>(std::min(std::round(rate * 0x1p32), 0x1p32 - 1));
      loop.placed = [stream = stream_of(node), threshold, scale = static_cast<T>(1 / (1 - rate))](
                        const RunKey& key, int64_t first, int64_t count, void* out,
                        const void* const* inputs) {
        kernels::dropout(key.stream(stream), first, count, threshold, scale, static_cast<const T*>(inputs[0]),
                         static_cast<T*>(out));
      };
    });
    return loop;
  }

  void vjp(Vjp& node) const override { node.set(0, apply(name(), {node.seed()}, node.attributes())); }
};

// A tensor of independent numbers, from nothing.
template <template <class> class Distribution>
class Draw final : public ElementwiseOp {
 public:
  Draw(const char* name, double nanoseconds) : name_(name), nanoseconds_(nanoseconds) {}
  const char* name() const override { return name_; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 0);
    const DType dtype = dtype_from_name(node.attributes.text("dtype"));
    if (!is_float(dtype))
      throw TypeError(concat(name(), ": dtype must be float32 or float64, not ", name_of(dtype)));
    return {dtype, Shape(node.attributes.integers("shape"))};
  }

  ElementLoop element_loop(const Signature& node, const TensorType& output) const override {
    ElementLoop loop{nullptr, nanoseconds_};
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      loop.placed = [stream = stream_of(node)](const RunKey& key, int64_t first, int64_t count, void* out,
                                               const void* const*) {
        kernels::draw<Distribution<T>>(key.stream(stream), first, count, static_cast<T*>(out));
      };
    });
    return loop;
  }

 private:
  const char* name_;
  double nanoseconds_;
};

// The logarithm of a gamma variate of shape a + 1, by Marsaglia and Tsang (2000): a try takes one block for a
// normal and the next for a uniform. `block` is the next one to use.
double log_gamma_variate(const Philox& random, double a, uint64_t& block) {
  const double d = a + 1 - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = random.normal(block), u = 1 - random.uniform(2 * (block + 1));
    block += 2;
    const double root = 1 + c * x, v = root * root * root;
    if (root > 0 && std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return std::log(d * v);
  }
}

// A number of Beta(alpha, alpha): g / (g + h) of two gamma variates of shape alpha. Each is one of shape
// alpha + 1 times u^(1 / alpha), which only logarithms can hold where alpha is small.
class RandomBeta final : public Op {
 public:
  const char* name() const override { return "random_beta"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 0);
    const DType dtype = dtype_from_name(node.attributes.text("dtype"));
    if (!is_float(dtype))
      throw TypeError(concat(name(), ": dtype must be float32 or float64, not ", name_of(dtype)));
    const double alpha = node.attributes.number("alpha");
    if (!(alpha > 0 && std::isfinite(alpha)))
      throw ValueError(concat(name(), ": alpha must be positive and finite, got ", alpha));
    return {dtype, Shape{}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    Routine routine;
    routine.cost = 200;
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [stream = stream_of(node), alpha = node.attributes.number("alpha")](const Frame& frame,
                                                                                        int64_t) {
        const Philox random = frame.key.stream(stream);
        uint64_t block = 1;  // block 0 has the two powers' uniforms
        const double log_g = log_gamma_variate(random, alpha, block);
        const double log_h = log_gamma_variate(random, alpha, block);
        const double powers = (std::log1p(-random.uniform(1)) - std::log1p(-random.uniform(0))) / alpha;
        *frame.output<T>() = static_cast<T>(1 / (1 + std::exp(log_h - log_g + powers)));
      };
    });
    return routine;
  }
};

}  // namespace

void add_random_ops(OpList& ops) {
  ops.push_back(std::make_unique<Dropout>());
  ops.push_back(std::make_unique<Draw<kernels::Uniform>>("random_uniform", 0.7));
  ops.push_back(std::make_unique<Draw<kernels::Normal>>("random_normal", 2));
  ops.push_back(std::make_unique<RandomBeta>());
}

}  // namespace bpcore
