// What a model owns: its parameters and its untrained state, one flat buffer each.
#pragma once

#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/dtype.h"
#include "core/shape.h"

namespace bpcore {

struct Slot {
  std::string name;
  Shape shape;
  int64_t offset;  // in elements from the buffer's begin
};

// Tensors one after the other, each 64-byte aligned. The padding between them is zero and stays so.
class FlatLayout {
 public:
  FlatLayout(const std::vector<std::pair<std::string, Shape>>& tensors, DType dtype);

  const std::vector<Slot>& slots() const { return slots_; }
  const Slot& slot(int64_t number) const;  // throws ValueError
  int64_t elements() const { return elements_; }
  DType dtype() const { return dtype_; }
  size_t bytes() const { return static_cast<size_t>(elements_) * size_of(dtype_); }
  Buffer allocate() const { return Buffer(bytes()); }
  char* address(const Buffer& buffer, const Slot& slot) const {
    return buffer.data() + slot.offset * static_cast<int64_t>(size_of(dtype_));
  }

 private:
  std::vector<Slot> slots_;
  int64_t elements_ = 0;
  DType dtype_;
};

struct Store {
  FlatLayout parameter_layout, state_layout;
  Buffer parameters, states;

  Store(const std::vector<std::pair<std::string, Shape>>& parameter_tensors,
        const std::vector<std::pair<std::string, Shape>>& state_tensors, DType dtype)
      : parameter_layout(parameter_tensors, dtype),
        state_layout(state_tensors, dtype),
        parameters(parameter_layout.allocate()),
        states(state_layout.allocate()) {}
};

// The address of every slot.
std::vector<char*> addresses(const FlatLayout& layout, const Buffer& buffer);

}  // namespace bpcore
