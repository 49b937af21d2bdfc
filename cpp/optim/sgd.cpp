#include "optim/families.h"
#include "optim/pass.h"

namespace bpcore {

namespace {

template <class T>
struct Plain {
  using Scalar = T;
  static constexpr std::array<const char*, 0> slots{};
  struct Step {
    T rate, decay;
  };
  explicit Plain(Settings& settings) : decay(settings.take("weight_decay")) {
    settings.take("momentum");
    settings.take("nesterov");
  }
  Step prepare(double rate, int64_t) const { return {static_cast<T>(rate), static_cast<T>(decay)}; }
  bool rests() const { return decay == 0; }
  BPCORE_INLINE static void apply(const Step& step, Vec<T>& weight, Vec<T> gradient, Vec<T>*) {
    weight -= step.rate * (gradient + step.decay * weight);
  }
  double decay;
};

// PyTorch's form without dampening: g += λθ; b = μb + g; θ -= η·(nesterov ? g + μb : b). The buffer begins as
// zero, so the first step needs no case of its own: μ·0 + g = g.
template <class T>
struct Momentum {
  using Scalar = T;
  static constexpr std::array slots{"momentum_buffer"};
  struct Step {
    T momentum, decay, of_gradient, of_buffer;  // the last two with the rate in them
  };
  explicit Momentum(Settings& settings)
      : decay(settings.take("weight_decay")),
        momentum(settings.take("momentum")),
        nesterov(settings.take("nesterov") != 0) {}
  Step prepare(double rate, int64_t) const {
    return {static_cast<T>(momentum), static_cast<T>(decay), static_cast<T>(nesterov ? rate : 0),
            static_cast<T>(nesterov ? rate * momentum : rate)};
  }
  BPCORE_INLINE static void apply(const Step& step, Vec<T>& weight, Vec<T> gradient, Vec<T>* state) {
    gradient += step.decay * weight;
    state[0] = step.momentum * state[0] + gradient;
    weight -= fused<T>(step.of_buffer, state[0], step.of_gradient * gradient);
  }
  double decay, momentum;
  bool nesterov;
};

}  // namespace

std::unique_ptr<Optimizer> make_sgd(const OptimizerSetup& setup) {
  for (const Hyper& hyper : setup.groups)
    if (Settings("sgd", hyper).take("momentum") != 0) return make_pass<Momentum>(setup);
  return make_pass<Plain>(setup);
}

}  // namespace bpcore
