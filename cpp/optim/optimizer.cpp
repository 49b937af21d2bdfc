#include "optim/optimizer.h"

#include <cmath>

#include "core/error.h"
#include "core/subnormal.h"
#include "kernels/newton.h"

namespace bpcore {

Optimizer::Optimizer(int64_t elements, DType dtype, const std::vector<std::string>& slot_names)
    : elements_(elements), dtype_(dtype) {
  for (const std::string& name : slot_names)
    slots_.emplace_back(name, Buffer(static_cast<size_t>(elements) * size_of(dtype)));
}

namespace {

// Reads each hyper-parameter once and objects to those nobody reads.
class Settings {
 public:
  Settings(const char* optimizer, const Hyper& hyper) : optimizer_(optimizer), rest_(hyper) {}
  double take(const char* name) {
    const auto found = rest_.find(name);
    if (found == rest_.end()) throw ValueError(concat(optimizer_, ": ", name, " is missing"));
    const double value = found->second;
    rest_.erase(found);
    return value;
  }
  void expect_empty() const {
    if (!rest_.empty()) throw ValueError(concat(optimizer_, ": there is no setting ", rest_.begin()->first));
  }

 private:
  const char* optimizer_;
  Hyper rest_;
};

// PyTorch's SGD without dampening: g += λθ; b = μb + g (b = g at the first step); θ -= η·(nesterov ? g + μb :
// b).
template <class T>
class Sgd final : public Optimizer {
 public:
  Sgd(Settings& settings, double momentum, int64_t elements)
      : Optimizer(elements, DTypeOf<T>::value,
                  momentum != 0 ? std::vector<std::string>{"momentum_buffer"} : std::vector<std::string>{}),
        momentum_(static_cast<T>(momentum)),
        decay_(static_cast<T>(settings.take("weight_decay"))),
        nesterov_(settings.take("nesterov") != 0) {}

  // The buffer begins as zero, so the first step needs no case of its own: μ·0 + g = g.
  void update(void* parameters, const void* gradients, int64_t begin, int64_t end) const override {
    const FlushSubnormals mode;
    T* __restrict theta = static_cast<T*>(parameters);
    const T* __restrict gradient = static_cast<const T*>(gradients);
    const T eta = rate_, mu = momentum_, lambda = decay_;
    if (mu == T(0)) {
      for (int64_t i = begin; i < end; ++i) theta[i] -= eta * (gradient[i] + lambda * theta[i]);
      return;
    }
    T* __restrict buffer = slot<T>(0);
    for (int64_t i = begin; i < end; ++i) {
      const T g = gradient[i] + lambda * theta[i];
      buffer[i] = mu * buffer[i] + g;
      theta[i] -= eta * (nesterov_ ? g + mu * buffer[i] : buffer[i]);
    }
  }

 private:
  void prepare(double rate, int64_t) override { rate_ = static_cast<T>(rate); }

  T momentum_, decay_;
  bool nesterov_;
  T rate_ = 0;
};

// 1 - beta^step. What is far below the last digit of 1 needs no power, which costs as much as a small layer.
double bias_correction(double beta, int64_t step) {
  if (static_cast<double>(step) * (1 - beta) > 40) return 1;  // log(beta) <= beta - 1, and exp(-40) < 2^-57
  return 1 - std::pow(beta, static_cast<double>(step));
}

// Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, in PyTorch's form: epsilon outside
// the root, L2 weight decay added to the gradient.
template <class T>
class Adam final : public Optimizer {
 public:
  Adam(Settings& settings, int64_t elements)
      : Optimizer(elements, DTypeOf<T>::value, {"exp_avg", "exp_avg_sq"}),
        beta1_(settings.take("beta1")),
        beta2_(settings.take("beta2")),
        epsilon_(static_cast<T>(settings.take("eps"))),
        decay_(static_cast<T>(settings.take("weight_decay"))) {}

  void update(void* parameters, const void* gradients, int64_t begin, int64_t end) const override {
    const FlushSubnormals mode;
    T* __restrict theta = static_cast<T*>(parameters);
    const T* __restrict gradient = static_cast<const T*>(gradients);
    T* __restrict first = slot<T>(0);
    T* __restrict second = slot<T>(1);
    const T step_size = step_size_, root = root_;
    const T beta1 = static_cast<T>(beta1_), beta2 = static_cast<T>(beta2_);
    const T rest1 = static_cast<T>(1 - beta1_), rest2 = static_cast<T>(1 - beta2_);
    const T lambda = decay_, epsilon = epsilon_;
    using V = kernels::simd::Vec<T>;
    for (int64_t i = begin; i < end; i += kernels::simd::vector_width<T>) {
      const V weight = kernels::simd::load(theta + i);
      const V g = kernels::simd::load(gradient + i) + lambda * weight;
      const V m = beta1 * kernels::simd::load(first + i) + rest1 * g;
      const V v = beta2 * kernels::simd::load(second + i) + rest2 * g * g;
      kernels::simd::store(first + i, m);
      kernels::simd::store(second + i, v);
      const V denominator = kernels::square_root<T>(v) * root + epsilon;
      kernels::simd::store(theta + i, weight - kernels::quotient<T>(step_size * m, denominator));
    }
  }

 private:
  void prepare(double rate, int64_t step) override {
    step_size_ = static_cast<T>(rate / bias_correction(beta1_, step));
    root_ = static_cast<T>(1 / std::sqrt(bias_correction(beta2_, step)));
  }

  double beta1_, beta2_;
  T epsilon_, decay_;
  T step_size_ = 0, root_ = 0;  // of the step at hand
};

template <class T>
std::unique_ptr<Optimizer> make(const std::string& name, Settings& settings, int64_t elements) {
  if (name == "sgd") return std::make_unique<Sgd<T>>(settings, settings.take("momentum"), elements);
  if (name == "adam") return std::make_unique<Adam<T>>(settings, elements);
  throw ValueError(concat("optimizer must be sgd or adam, not ", name));
}

}  // namespace

std::unique_ptr<Optimizer> make_optimizer(const std::string& name, const Hyper& hyper, int64_t elements,
                                          DType dtype) {
  Settings settings(name.c_str(), hyper);
  auto optimizer = with_float(
      dtype, [&](auto tag) { return make<typename decltype(tag)::type>(name, settings, elements); });
  settings.expect_empty();
  return optimizer;
}

}  // namespace bpcore
