#include "optim/stretch.h"

#include <cmath>

namespace bpcore::stretch {

namespace {

template <class T>
double squares(const T* x, int64_t count) {
  // Independent sums, so that the loop is not a chain of additions.
  constexpr int64_t lanes = 16;
  double sums[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane) {
      const double value = static_cast<double>(x[i + lane]);
      sums[lane] += value * value;
    }
  for (; i < count; ++i) sums[0] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  double sum = 0;
  for (double each : sums) sum += each;
  return sum;
}

}  // namespace

double sum_of_squares(DType dtype, const void* x, int64_t begin, int64_t end) {
  return with_float(dtype, [&](auto tag) {
    return squares(static_cast<const typename decltype(tag)::type*>(x) + begin, end - begin);
  });
}

void scale(DType dtype, void* x, double factor, int64_t begin, int64_t end) {
  with_float(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* __restrict values = static_cast<T*>(x);
    const T by = static_cast<T>(factor);
    for (int64_t i = begin; i < end; ++i) values[i] *= by;
  });
}

void clamp(DType dtype, void* x, double limit, int64_t begin, int64_t end) {
  with_float(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* __restrict values = static_cast<T*>(x);
    const T most = static_cast<T>(limit);
    for (int64_t i = begin; i < end; ++i) {
      const T value = values[i] > most ? most : values[i];
      values[i] = value < -most ? -most : value;
    }
  });
}

void blend(DType dtype, void* into, double old, const void* x, double factor, int64_t begin, int64_t end) {
  with_float(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* __restrict values = static_cast<T*>(into);
    const T* __restrict added = static_cast<const T*>(x);
    const T keep = static_cast<T>(old), by = static_cast<T>(factor);
    if (keep == T(0)) {  // what was there may be infinite
      for (int64_t i = begin; i < end; ++i) values[i] = by * added[i];
      return;
    }
    for (int64_t i = begin; i < end; ++i) values[i] = keep * values[i] + by * added[i];
  });
}

void limit_columns(DType dtype, void* x, int64_t rows, int64_t columns, double most, int64_t begin,
                   int64_t end) {
  with_float(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* values = static_cast<T*>(x);
    for (int64_t column = begin; column < end; ++column) {
      double sum = 0;
      for (int64_t row = 0; row < rows; ++row) {
        const double value = static_cast<double>(values[row * columns + column]);
        sum += value * value;
      }
      const double norm = std::sqrt(sum);
      if (!(norm > most)) continue;
      const T factor = static_cast<T>(most / norm);
      for (int64_t row = 0; row < rows; ++row) values[row * columns + column] *= factor;
    }
  });
}

void rectify(DType dtype, void* x, int64_t begin, int64_t end) {
  with_float(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* __restrict values = static_cast<T*>(x);
    for (int64_t i = begin; i < end; ++i) values[i] = values[i] < T(0) ? T(0) : values[i];
  });
}

}  // namespace bpcore::stretch
