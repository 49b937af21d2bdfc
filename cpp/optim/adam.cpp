#include <cmath>

#include "optim/families.h"
#include "optim/pass.h"

namespace bpcore {

namespace {

using kernels::quotient;
using kernels::square_root;

// What the family shares: running means of the gradient and of its square, and two kinds of weight decay: λθ
// added to the gradient, or, decoupled (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR
// 2019), θ shrunk by 1 - ηλ before the step.
struct AdamSettings {
  explicit AdamSettings(Settings& settings)
      : beta1(settings.take("beta1")),
        beta2(settings.take("beta2")),
        epsilon(settings.take("eps")),
        decay(settings.take("weight_decay")),
        decoupled(settings.take("decoupled") != 0) {}
  double beta1, beta2, epsilon, decay;
  bool decoupled;
};

template <class T>
struct Moments {
  T beta1, rest1, beta2, rest2, epsilon, decay, shrinking;
  bool decays;

  Moments() = default;
  Moments(const AdamSettings& s, double rate)
      : beta1(static_cast<T>(s.beta1)),
        rest1(static_cast<T>(1 - s.beta1)),
        beta2(static_cast<T>(s.beta2)),
        rest2(static_cast<T>(1 - s.beta2)),
        epsilon(static_cast<T>(s.epsilon)),
        decay(static_cast<T>(s.decoupled ? 0 : s.decay)),
        shrinking(static_cast<T>(s.decoupled ? rate * s.decay : 0)),
        decays(s.decay != 0) {}

  // Decays the weight; returns the gradient with decay in it.
  BPCORE_INLINE Vec<T> shrink(Vec<T>& weight, Vec<T> gradient) const {
    if (!decays) return gradient;
    const Vec<T> before = weight;
    weight = fused<T>(-shrinking, before, before);
    return fused<T>(decay, before, gradient);
  }

  // The same, and moves both means.
  BPCORE_INLINE Vec<T> advance(Vec<T>& weight, Vec<T> gradient, Vec<T>& first, Vec<T>& second) const {
    gradient = shrink(weight, gradient);
    first = fused<T>(beta1, first, rest1 * gradient);
    second = fused<T>(beta2, second, rest2 * gradient * gradient);
    return gradient;
  }
};

// Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, in PyTorch's form: epsilon outside
// the root. With amsgrad (Reddi, Kale and Kumar, "On the convergence of Adam and beyond", ICLR 2018) the
// largest mean of squares so far takes the place of the last.
template <class T, bool amsgrad>
struct AdamRule : AdamSettings {
  using Scalar = T;
  static constexpr auto names() {
    if constexpr (amsgrad)
      return std::array{"exp_avg", "exp_avg_sq", "max_exp_avg_sq"};
    else
      return std::array{"exp_avg", "exp_avg_sq"};
  }
  static constexpr auto slots = names();
  // η m̂ / (√v̂ + ε), where m̂ = m / c₁ and v̂ = v / c₂, is (η √c₂ / c₁) m / (√v + ε √c₂): scalars take it all.
  struct Step {
    Moments<T> moments;
    T rate, epsilon;
  };
  explicit AdamRule(Settings& settings) : AdamSettings(settings), lazy(settings.take("lazy") != 0) {
    settings.take("amsgrad");
  }
  bool rests() const { return lazy; }
  Step prepare(double rate, int64_t step) const {
    const double root = std::sqrt(bias_correction(beta2, step));
    return {Moments<T>(*this, rate), static_cast<T>(rate * root / bias_correction(beta1, step)),
            static_cast<T>(epsilon * root)};
  }
  BPCORE_INLINE static void apply(const Step& step, Vec<T>& weight, Vec<T> gradient, Vec<T>* state) {
    step.moments.advance(weight, gradient, state[0], state[1]);
    if constexpr (amsgrad) state[2] = larger(state[2], state[1]);
    const Vec<T> root = square_root<T>(state[amsgrad ? 2 : 1]);
    weight -= quotient<T>(step.rate * state[0], root + step.epsilon);
  }
  bool lazy;  // leave out the steps in which an element of a row can't have a gradient
};

template <class T>
using Adam = AdamRule<T, false>;
template <class T>
using Amsgrad = AdamRule<T, true>;

// The variant of Adam's paper with the infinity norm: u = max(β₂u, |g| + ε); θ -= η/(1-β₁ᵗ) · m/u.
template <class T>
struct Adamax : AdamSettings {
  using Scalar = T;
  static constexpr std::array slots{"exp_avg", "exp_inf"};
  struct Step {
    Moments<T> moments;
    T rate;
  };
  explicit Adamax(Settings& settings) : AdamSettings(settings) {}
  Step prepare(double rate, int64_t step) const {
    return {Moments<T>(*this, rate), static_cast<T>(rate / bias_correction(beta1, step))};
  }
  BPCORE_INLINE static void apply(const Step& step, Vec<T>& weight, Vec<T> gradient, Vec<T>* state) {
    const Moments<T>& by = step.moments;
    gradient = by.shrink(weight, gradient);
    state[0] = fused<T>(by.beta1, state[0], by.rest1 * gradient);
    state[1] = larger(by.beta2 * state[1], magnitude(gradient) + by.epsilon);
    weight -= quotient<T>(step.rate * state[0], state[1]);
  }
};

// Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016, with its warm-up of the momentum,
// in PyTorch's form: μ(t) = β₁(1 - 0.96^(tψ)/2), and Π the product of all so far.
template <class T>
struct Nadam : AdamSettings {
  using Scalar = T;
  static constexpr std::array slots{"exp_avg", "exp_avg_sq"};
  struct Step {
    Moments<T> moments;
    T of_gradient, of_mean, root;
  };
  explicit Nadam(Settings& settings)
      : AdamSettings(settings), momentum_decay(settings.take("momentum_decay")) {}
  Step prepare(double rate, int64_t step) {
    if (product_steps != step - 1) {  // a trainer goes on where another stopped
      product = 1;
      for (int64_t t = 1; t < step; ++t) product *= momentum(t);
    }
    const double next = momentum(step + 1);
    product *= momentum(step);
    product_steps = step;
    return {Moments<T>(*this, rate), static_cast<T>(rate * (1 - momentum(step)) / (1 - product)),
            static_cast<T>(rate * next / (1 - product * next)),
            static_cast<T>(1 / std::sqrt(bias_correction(beta2, step)))};
  }
  BPCORE_INLINE static void apply(const Step& step, Vec<T>& weight, Vec<T> gradient, Vec<T>* state) {
    gradient = step.moments.advance(weight, gradient, state[0], state[1]);
    const Vec<T> root = square_root<T>(state[1]) * step.root;
    const Vec<T> mean = fused<T>(step.of_mean, state[0], step.of_gradient * gradient);
    weight -= quotient<T>(mean, root + step.moments.epsilon);
  }
  double momentum(int64_t step) const {
    return beta1 * (1 - 0.5 * std::pow(0.96, static_cast<double>(step) * momentum_decay));
  }
  double momentum_decay, product = 1;
  int64_t product_steps = 0;
};

// Liu et al., "On the variance of the adaptive learning rate and beyond", ICLR 2020: while the variance of
// the mean of squares is not tractable (ρ ≤ 5), a step of momentum only, later Adam's, rectified.
template <class T>
struct Radam : AdamSettings {
  using Scalar = T;
  static constexpr std::array slots{"exp_avg", "exp_avg_sq"};
  struct Step {
    Moments<T> moments;
    T rate;
    bool adaptive;
  };
  explicit Radam(Settings& settings) : AdamSettings(settings) {}
  Step prepare(double rate, int64_t step) const {
    const double correction = bias_correction(beta2, step);
    const double last = 2 / (1 - beta2) - 1;
    const double length = last - 2 * static_cast<double>(step) * (1 - correction) / correction;
    double scale = rate / bias_correction(beta1, step);
    if (length > 5)
      scale *=
          std::sqrt(correction * (length - 4) * (length - 2) * last / ((last - 4) * (last - 2) * length));
    return {Moments<T>(*this, rate), static_cast<T>(scale), length > 5};
  }
  BPCORE_INLINE static void apply(const Step& step, Vec<T>& weight, Vec<T> gradient, Vec<T>* state) {
    step.moments.advance(weight, gradient, state[0], state[1]);
    if (step.adaptive)
      weight -= quotient<T>(step.rate * state[0], square_root<T>(state[1]) + step.moments.epsilon);
    else
      weight = fused<T>(-step.rate, state[0], weight);
  }
};

}  // namespace

std::unique_ptr<Optimizer> make_adam(const OptimizerSetup& setup) {
  return Settings("adam", setup.groups[0]).take("amsgrad") != 0 ? make_pass<Amsgrad>(setup)
                                                                : make_pass<Adam>(setup);
}

std::unique_ptr<Optimizer> make_adamax(const OptimizerSetup& setup) { return make_pass<Adamax>(setup); }

std::unique_ptr<Optimizer> make_nadam(const OptimizerSetup& setup) { return make_pass<Nadam>(setup); }

std::unique_ptr<Optimizer> make_radam(const OptimizerSetup& setup) { return make_pass<Radam>(setup); }

}  // namespace bpcore
