#include "optim/families.h"
#include "optim/pass.h"

namespace bpcore {

namespace {

using kernels::quotient;
using kernels::square_root;

// Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
// JMLR 2011. s += g²; θ -= η/(1 + (t-1)·κ) · g / (√s + ε), with s = s₀ to begin with.
template <class T>
struct Adagrad {
  using Scalar = T;
  static constexpr std::array slots{"sum"};
  struct Step {
    T rate, decay, epsilon, initial;
  };
  explicit Adagrad(Settings& settings)
      : decay(settings.take("weight_decay")),
        rate_decay(settings.take("lr_decay")),
        epsilon(settings.take("eps")),
        initial(settings.take("initial_accumulator_value")) {}
  Step prepare(double rate, int64_t step) const {
    // The sum is kept without s₀, so that it begins as zero like every state.
    return {static_cast<T>(rate / (1 + static_cast<double>(step - 1) * rate_decay)), static_cast<T>(decay),
            static_cast<T>(epsilon), static_cast<T>(initial)};
  }
  bool rests() const { return decay == 0; }
  BPCORE_INLINE static void apply(const Step& step, Vec<T>& weight, Vec<T> gradient, Vec<T>* state) {
    gradient += step.decay * weight;
    state[0] += gradient * gradient;
    weight -= quotient<T>(step.rate * gradient, square_root<T>(state[0] + step.initial) + step.epsilon);
  }
  double decay, rate_decay, epsilon, initial;
};

// Zeiler, "ADADELTA: an adaptive learning rate method", 2012. s = ρs + (1-ρ)g²; d = √(a+ε)/√(s+ε)·g;
// a = ρa + (1-ρ)d²; θ -= η·d.
template <class T>
struct Adadelta {
  using Scalar = T;
  static constexpr std::array slots{"square_avg", "acc_delta"};
  struct Step {
    T rate, decay, rho, rest, epsilon;
  };
  explicit Adadelta(Settings& settings)
      : decay(settings.take("weight_decay")), rho(settings.take("rho")), epsilon(settings.take("eps")) {}
  Step prepare(double rate, int64_t) const {
    return {static_cast<T>(rate), static_cast<T>(decay), static_cast<T>(rho), static_cast<T>(1 - rho),
            static_cast<T>(epsilon)};
  }
  BPCORE_INLINE static void apply(const Step& step, Vec<T>& weight, Vec<T> gradient, Vec<T>* state) {
    gradient += step.decay * weight;
    state[0] = fused<T>(step.rho, state[0], step.rest * gradient * gradient);
    const Vec<T> delta = quotient<T>(square_root<T>(state[1] + step.epsilon) * gradient,
                                     square_root<T>(state[0] + step.epsilon));
    state[1] = fused<T>(step.rho, state[1], step.rest * delta * delta);
    weight -= step.rate * delta;
  }
  double decay, rho, epsilon;
};

// Tieleman and Hinton, "Lecture 6.5: RMSProp", 2012; centered as in Graves, "Generating sequences with
// recurrent neural networks", 2013; in PyTorch's form. s = αs + (1-α)g²; v = s, or centered s - m² with
// m = αm + (1-α)g; step g/(√v + ε), through b = μb + step if there is momentum.
template <class T, bool centered, bool momentum>
struct Rmsprop {
  using Scalar = T;
  static constexpr auto names() {
    if constexpr (centered && momentum)
      return std::array{"square_avg", "grad_avg", "momentum_buffer"};
    else if constexpr (centered)
      return std::array{"square_avg", "grad_avg"};
    else if constexpr (momentum)
      return std::array{"square_avg", "momentum_buffer"};
    else
      return std::array{"square_avg"};
  }
  static constexpr auto slots = names();
  struct Step {
    T rate, decay, alpha, rest, epsilon, mu;
  };
  explicit Rmsprop(Settings& settings)
      : decay(settings.take("weight_decay")),
        alpha(settings.take("alpha")),
        epsilon(settings.take("eps")),
        mu(settings.take("momentum")) {
    settings.take("centered");
  }
  Step prepare(double rate, int64_t) const {
    return {static_cast<T>(rate),      static_cast<T>(decay),   static_cast<T>(alpha),
            static_cast<T>(1 - alpha), static_cast<T>(epsilon), static_cast<T>(mu)};
  }
  BPCORE_INLINE static void apply(const Step& step, Vec<T>& weight, Vec<T> gradient, Vec<T>* state) {
    gradient += step.decay * weight;
    state[0] = fused<T>(step.alpha, state[0], step.rest * gradient * gradient);
    Vec<T> variance = state[0];
    if constexpr (centered) {
      state[1] = fused<T>(step.alpha, state[1], step.rest * gradient);
      variance -= state[1] * state[1];
      variance = variance < Vec<T>{} ? Vec<T>{} : variance;  // below zero only by rounding
    }
    const Vec<T> scaled = quotient<T>(gradient, square_root<T>(variance) + step.epsilon);
    if constexpr (momentum) {
      Vec<T>& buffer = state[centered ? 2 : 1];
      buffer = fused<T>(step.mu, buffer, scaled);
      weight -= step.rate * buffer;
    } else {
      weight -= step.rate * scaled;
    }
  }
  double decay, alpha, epsilon, mu;
};

template <class T>
using PlainRmsprop = Rmsprop<T, false, false>;
template <class T>
using MomentumRmsprop = Rmsprop<T, false, true>;
template <class T>
using CenteredRmsprop = Rmsprop<T, true, false>;
template <class T>
using CenteredMomentumRmsprop = Rmsprop<T, true, true>;

}  // namespace

std::unique_ptr<Optimizer> make_adagrad(const OptimizerSetup& setup) { return make_pass<Adagrad>(setup); }

std::unique_ptr<Optimizer> make_adadelta(const OptimizerSetup& setup) { return make_pass<Adadelta>(setup); }

std::unique_ptr<Optimizer> make_rmsprop(const OptimizerSetup& setup) {
  bool momentum = false;
  for (const Hyper& hyper : setup.groups) momentum |= Settings("rmsprop", hyper).take("momentum") != 0;
  if (Settings("rmsprop", setup.groups[0]).take("centered") != 0)
    return momentum ? make_pass<CenteredMomentumRmsprop>(setup) : make_pass<CenteredRmsprop>(setup);
  return momentum ? make_pass<MomentumRmsprop>(setup) : make_pass<PlainRmsprop>(setup);
}

}  // namespace bpcore
