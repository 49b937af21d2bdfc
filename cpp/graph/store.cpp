#include "graph/store.h"

#include "core/error.h"

namespace bpcore {

FlatLayout::FlatLayout(const std::vector<std::pair<std::string, Shape>>& tensors, DType dtype)
    : dtype_(dtype) {
  if (!is_float(dtype))
    throw TypeError(concat("store: dtype must be float32 or float64, not ", name_of(dtype)));
  const int64_t step = static_cast<int64_t>(alignment / size_of(dtype));
  for (const auto& [name, shape] : tensors) {
    slots_.push_back({name, shape, elements_});
    elements_ += round_up(shape.elements(), step);
  }
}

const Slot& FlatLayout::slot(int64_t number) const {
  if (number < 0 || number >= static_cast<int64_t>(slots_.size()))
    throw ValueError(concat("store: there is no slot ", number, ", only ", slots_.size()));
  return slots_[static_cast<size_t>(number)];
}

std::vector<char*> addresses(const FlatLayout& layout, const Buffer& buffer) {
  std::vector<char*> result;
  for (const Slot& slot : layout.slots()) result.push_back(layout.address(buffer, slot));
  return result;
}

}  // namespace bpcore
