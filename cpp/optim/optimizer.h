// Optimizers: one pass over the flat buffers of parameters and gradients a step.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/buffer.h"
#include "core/dtype.h"

namespace bpcore {

using Hyper = std::map<std::string, double>;

// Elements a task of an update takes; a multiple of every vector width.
constexpr int64_t update_elements = 8192;

// What an optimizer is made for.
struct OptimizerSetup {
  std::string name;
  std::vector<Hyper> groups;  // settings, one for each group of parameters; at least one
  int64_t elements;           // of the flat buffers
  DType dtype;
};

// State and formula for all parameters of one dtype. Parameters belong to groups, which share the formula and
// have settings and learning rates of their own. Padding between tensors is zero in parameters and gradients,
// and every formula keeps it so. An optimizer is elementwise or tensorwise.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // One more step, with a learning rate for each group: called once, before the updates of its ranges.
  void begin_step(const double* rates) {
    ++steps;
    prepare(rates, steps);
  }

  int64_t elements() const { return elements_; }
  DType dtype() const { return dtype_; }
  size_t groups() const { return groups_; }
  const std::vector<std::pair<std::string, Buffer>>& slots() const { return slots_; }  // PyTorch's names

  int64_t steps = 0;  // updates done

 protected:
  Optimizer(const OptimizerSetup& setup, const std::vector<std::string>& slot_names);

  // What the formula needs of the learning rates and the number of the step, which counts from 1.
  virtual void prepare(const double* rates, int64_t step) = 0;

  template <class T>
  T* slot(size_t number) const {
    return slots_[number].second.as<T>();
  }

 private:
  int64_t elements_;
  DType dtype_;
  size_t groups_;
  std::vector<std::pair<std::string, Buffer>> slots_;
};

// Ranges [begin, end) below are of elements, unless said otherwise both multiples of a cache line; any thread
// may take any range.
// Subnormal numbers become zero: the running means of a parameter that gets no gradient any more (of a dead
// unit, say) decay to them, and arithmetic on those is much slower.

// What becomes of an element depends on it alone: one pass. Its ranges may be any.
class ElementwiseOptimizer : public Optimizer {
 public:
  using Optimizer::Optimizer;
  virtual void update(void* parameters, const void* gradients, int64_t begin, int64_t end,
                      size_t group) const = 0;

  // For elements that get no gradient in most steps: these steps can be put off until an element is wanted,
  // and are then the same to the bit.

  // Whether a step without gradient leaves an element and its state as they are, so that nothing is put off.
  virtual bool rests(size_t group) const = 0;
  // From now on, steps are kept: at most `most`, before they are forgotten. Allocates nothing where there is
  // room for them.
  virtual void keep_steps(size_t most) = 0;
  virtual void make_room_for_steps(size_t most) = 0;
  virtual void forget_steps() = 0;
  virtual size_t kept_steps() const = 0;
  // Takes the kept steps from number `first` on with gradients of zero.
  virtual void catch_up(void* parameters, int64_t begin, int64_t end, size_t group, size_t first) const = 0;
};

// The length of a step depends on norms of a whole tensor: direct() replaces the gradients of a range by the
// direction of its step; when that is done for all ranges, move() goes there, as far as length() says for the
// range's tensor.
class TensorwiseOptimizer : public Optimizer {
 public:
  using Optimizer::Optimizer;
  virtual void direct(const void* parameters, void* gradients, int64_t begin, int64_t end,
                      size_t group) const = 0;
  virtual double length(double norm_of_parameters, double norm_of_direction) const = 0;
  virtual void move(void* parameters, const void* directions, int64_t begin, int64_t end, size_t group,
                    double length) const = 0;
};

// Throws ValueError for an unknown name or setting. Ranges of settings are checked by the caller.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerSetup& setup);

}  // namespace bpcore
