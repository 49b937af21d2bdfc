// The formulas, by family; optimizer.cpp finds them by name.
#pragma once

#include "optim/optimizer.h"

namespace bpcore {

using MakeOptimizer = std::unique_ptr<Optimizer> (*)(const OptimizerSetup&);

// sgd.cpp
std::unique_ptr<Optimizer> make_sgd(const OptimizerSetup&);
// adagrad.cpp: steps divided by the size of past gradients
std::unique_ptr<Optimizer> make_adagrad(const OptimizerSetup&);
std::unique_ptr<Optimizer> make_adadelta(const OptimizerSetup&);
std::unique_ptr<Optimizer> make_rmsprop(const OptimizerSetup&);
// adam.cpp: the same with momentum
std::unique_ptr<Optimizer> make_adam(const OptimizerSetup&);
std::unique_ptr<Optimizer> make_adamax(const OptimizerSetup&);
std::unique_ptr<Optimizer> make_nadam(const OptimizerSetup&);
std::unique_ptr<Optimizer> make_radam(const OptimizerSetup&);
// sign.cpp: the gradient's sign only
std::unique_ptr<Optimizer> make_lion(const OptimizerSetup&);
std::unique_ptr<Optimizer> make_rprop(const OptimizerSetup&);
// lamb.cpp: step length by tensor
std::unique_ptr<Optimizer> make_lamb(const OptimizerSetup&);

}  // namespace bpcore
