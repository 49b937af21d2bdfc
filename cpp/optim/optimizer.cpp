#include "optim/optimizer.h"

#include <cmath>

#include "core/error.h"
#include "optim/families.h"
#include "optim/pass.h"

namespace bpcore {

Optimizer::Optimizer(const OptimizerSetup& setup, const std::vector<std::string>& slot_names)
    : elements_(setup.elements), dtype_(setup.dtype), groups_(setup.groups.size()) {
  for (const std::string& name : slot_names)
    slots_.emplace_back(name, Buffer(static_cast<size_t>(elements_) * size_of(dtype_)));
}

double bias_correction(double beta, int64_t step) {
  if (static_cast<double>(step) * (1 - beta) > 40) return 1;  // log(beta) <= beta - 1, and exp(-40) < 2^-57
  return 1 - std::pow(beta, static_cast<double>(step));
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerSetup& setup) {
  static constexpr std::pair<const char*, MakeOptimizer> families[] = {
      {"adadelta", make_adadelta}, {"adagrad", make_adagrad}, {"adam", make_adam},   {"adamw", make_adam},
      {"adamax", make_adamax},     {"lamb", make_lamb},       {"lion", make_lion},   {"nadam", make_nadam},
      {"radam", make_radam},       {"rmsprop", make_rmsprop}, {"rprop", make_rprop}, {"sgd", make_sgd},
  };
  if (setup.groups.empty()) throw ValueError("optimizer: there must be at least one group of settings");
  for (const auto& [name, make] : families)
    if (setup.name == name) return make(setup);
  throw ValueError(concat("there is no optimizer ", setup.name));
}

}  // namespace bpcore
