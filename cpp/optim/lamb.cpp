#include <cmath>

#include "optim/families.h"
#include "optim/pass.h"

namespace bpcore {

namespace {

// You et al., "Large batch optimization for deep learning: training BERT in 76 minutes", ICLR 2020: Adam's
// direction u (plus λθ), and a step of length η·‖θ‖ for each tensor; η·‖u‖ where one of the norms is zero.
template <class T>
class Lamb final : public TensorwiseOptimizer {
 public:
  explicit Lamb(const OptimizerSetup& setup)
      : TensorwiseOptimizer(setup, {"exp_avg", "exp_avg_sq"}), steps_(setup.groups.size()) {
    for (const Hyper& hyper : setup.groups) {
      Settings settings(setup.name, hyper);
      groups_.push_back({settings.take("beta1"), settings.take("beta2"), settings.take("eps"),
                         settings.take("weight_decay")});
      settings.expect_empty();
    }
  }

  void direct(const void* parameters, void* gradients, int64_t begin, int64_t end,
              size_t group) const override {
    namespace simd = kernels::simd;
    const FlushSubnormals mode;
    const Step step = steps_[group];
    const T* __restrict theta = static_cast<const T*>(parameters);
    T* __restrict gradient = static_cast<T*>(gradients);
    T* __restrict first = slot<T>(0);
    T* __restrict second = slot<T>(1);
    for (int64_t i = begin; i < end; i += simd::vector_width<T>) {
      const Vec<T> g = simd::load(gradient + i);
      const Vec<T> m = step.beta1 * simd::load(first + i) + step.rest1 * g;
      const Vec<T> v = step.beta2 * simd::load(second + i) + step.rest2 * g * g;
      simd::store(first + i, m);
      simd::store(second + i, v);
      const Vec<T> root = kernels::square_root<T>(v) * step.root + step.epsilon;
      simd::store(gradient + i,
                  kernels::quotient<T>(step.mean * m, root) + step.decay * simd::load(theta + i));
    }
  }

  double length(double norm_of_parameters, double norm_of_direction) const override {
    return norm_of_parameters > 0 && norm_of_direction > 0 ? norm_of_parameters / norm_of_direction : 1;
  }

  void move(void* parameters, const void* directions, int64_t begin, int64_t end, size_t group,
            double length) const override {
    const FlushSubnormals mode;
    T* __restrict theta = static_cast<T*>(parameters);
    const T* __restrict direction = static_cast<const T*>(directions);
    const T rate = static_cast<T>(steps_[group].rate * length);
    for (int64_t i = begin; i < end; ++i) theta[i] -= rate * direction[i];
  }

 private:
  struct Group {
    double beta1, beta2, epsilon, decay;
  };
  struct Step {
    T beta1, rest1, beta2, rest2, epsilon, decay, mean, root;  // the last two with the bias corrections
    double rate;
  };

  void prepare(const double* rates, int64_t step) override {
    for (size_t i = 0; i < groups_.size(); ++i) {
      const Group& g = groups_[i];
      steps_[i] = {static_cast<T>(g.beta1),
                   static_cast<T>(1 - g.beta1),
                   static_cast<T>(g.beta2),
                   static_cast<T>(1 - g.beta2),
                   static_cast<T>(g.epsilon),
                   static_cast<T>(g.decay),
                   static_cast<T>(1 / bias_correction(g.beta1, step)),
                   static_cast<T>(1 / std::sqrt(bias_correction(g.beta2, step))),
                   rates[i]};
    }
  }

  std::vector<Group> groups_;
  std::vector<Step> steps_;  // of the step at hand
};

}  // namespace

std::unique_ptr<Optimizer> make_lamb(const OptimizerSetup& setup) {
  return with_float(setup.dtype, [&](auto tag) -> std::unique_ptr<Optimizer> {
    return std::make_unique<Lamb<typename decltype(tag)::type>>(setup);
  });
}

}  // namespace bpcore
