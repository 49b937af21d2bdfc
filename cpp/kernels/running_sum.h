// Running sums along columns, each one chain in the order of its elements.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/reduce.h"

namespace bpcore::kernels {

// Row p of out is the sum of the rows 0 … p of x. `stride` may be negative: then x and out point to the rows
// with the highest addresses. steps and width >= 1.
template <class T>
void running_sums(const T* x /* (steps, width), stride apart */, int64_t steps, int64_t stride, int64_t width,
                  T* out /* as x */) {
  if (width == 1) {  // in a register
    T total = *x;
    *out = total;
    for (int64_t step = 1; step < steps; ++step) {
      total = Sum{}(total, x[step * stride]);
      out[step * stride] = total;
    }
    return;
  }
  std::copy(x, x + width, out);
  for (int64_t step = 1; step < steps; ++step) {
    const T* __restrict above = out + (step - 1) * stride;
    const T* row = x + step * stride;
    T* __restrict below = out + step * stride;
    for (int64_t j = 0; j < width; ++j) below[j] = Sum{}(above[j], row[j]);
  }
}

}  // namespace bpcore::kernels
