#include "optim/families.h"
#include "optim/pass.h"

namespace bpcore {

namespace {

// Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023:
// θ -= η·(sign(β₁m + (1-β₁)g) + λθ); m = β₂m + (1-β₂)g.
template <class T>
struct Lion {
  using Scalar = T;
  static constexpr std::array slots{"exp_avg"};
  struct Step {
    T rate, beta1, rest1, beta2, rest2, decay;
  };
  explicit Lion(Settings& settings)
      : beta1(settings.take("beta1")), beta2(settings.take("beta2")), decay(settings.take("weight_decay")) {}
  Step prepare(double rate, int64_t) const {
    return {static_cast<T>(rate),  static_cast<T>(beta1),     static_cast<T>(1 - beta1),
            static_cast<T>(beta2), static_cast<T>(1 - beta2), static_cast<T>(decay)};
  }
  BPCORE_INLINE static void apply(const Step& step, Vec<T>& weight, Vec<T> gradient, Vec<T>* state) {
    const Vec<T> direction = sign<T>(fused<T>(step.beta1, state[0], step.rest1 * gradient));
    weight -= step.rate * (direction + step.decay * weight);
    state[0] = fused<T>(step.beta2, state[0], step.rest2 * gradient);
  }
  double beta1, beta2, decay;
};

// Riedmiller and Braun, "A direct adaptive method for faster backpropagation learning: the RPROP algorithm",
// 1993, in PyTorch's form: an element's step grows by η⁺ while its gradient keeps its sign; where the sign
// has changed, it shrinks by η⁻ and the gradient counts as zero.
template <class T>
struct Rprop {
  using Scalar = T;
  static constexpr std::array slots{"prev", "step_size"};
  struct Step {
    T initial, shrink, grow, least, most;
  };
  explicit Rprop(Settings& settings)
      : shrink(settings.take("eta_minus")),
        grow(settings.take("eta_plus")),
        least(settings.take("step_min")),
        most(settings.take("step_max")) {}
  Step prepare(double rate, int64_t) const {
    return {static_cast<T>(rate), static_cast<T>(shrink), static_cast<T>(grow), static_cast<T>(least),
            static_cast<T>(most)};
  }
  BPCORE_INLINE static void apply(const Step& step, Vec<T>& weight, Vec<T> gradient, Vec<T>* state) {
    namespace simd = kernels::simd;
    const Vec<T> zero{}, last = state[1] == zero ? simd::broadcast(step.initial) : state[1];
    // Signs and not the product of two small gradients, which may be zero.
    const Vec<T> agreement = sign<T>(gradient) * sign<T>(state[0]);
    const Vec<T> factor = agreement > zero   ? simd::broadcast(step.grow)
                          : agreement < zero ? simd::broadcast(step.shrink)
                                             : simd::broadcast(T(1));
    Vec<T> size = last * factor;
    size = size < step.least ? simd::broadcast(step.least) : size;
    size = size > step.most ? simd::broadcast(step.most) : size;
    const Vec<T> used = agreement < zero ? zero : gradient;
    weight -= sign<T>(used) * size;
    state[0] = used;
    state[1] = size;
  }
  double shrink, grow, least, most;
};

}  // namespace

std::unique_ptr<Optimizer> make_lion(const OptimizerSetup& setup) { return make_pass<Lion>(setup); }

std::unique_ptr<Optimizer> make_rprop(const OptimizerSetup& setup) { return make_pass<Rprop>(setup); }

}  // namespace bpcore
