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

// State and formula for `elements` parameters of one dtype. Padding between tensors is zero in parameters and
// gradients, and every formula keeps it so.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // One more step, with this learning rate: called once, before the updates of its ranges.
  void begin_step(double rate) {
    ++steps;
    prepare(rate, steps);
  }

  // Updates elements [begin, end), both multiples of a cache line. Any thread may take any range. Subnormal
  // numbers become zero: the running means of a parameter that gets no gradient any more (of a dead unit,
  // say) decay to them, and arithmetic on those is much slower.
  virtual void update(void* parameters, const void* gradients, int64_t begin, int64_t end) const = 0;

  int64_t elements() const { return elements_; }
  DType dtype() const { return dtype_; }
  const std::vector<std::pair<std::string, Buffer>>& slots() const { return slots_; }  // PyTorch's names

  int64_t steps = 0;  // updates done

 protected:
  Optimizer(int64_t elements, DType dtype, const std::vector<std::string>& slot_names);

  // What the formula needs of the learning rate and the number of the step, which counts from 1.
  virtual void prepare(double rate, int64_t step) = 0;

  template <class T>
  T* slot(size_t number) const {
    return slots_[number].second.as<T>();
  }

 private:
  int64_t elements_;
  DType dtype_;
  std::vector<std::pair<std::string, Buffer>> slots_;
};

// Throws ValueError for an unknown name or hyper-parameter. Ranges are checked by the caller.
std::unique_ptr<Optimizer> make_optimizer(const std::string& name, const Hyper& hyper, int64_t elements,
                                          DType dtype);

}  // namespace bpcore
