// Plain loops over a stretch of a flat buffer, for what surrounds an optimizer's formula. The order of every
// sum depends on the stretch alone.
#pragma once

#include <cstdint>

#include "core/dtype.h"

namespace bpcore::stretch {

// Σ x², in double: the square of a float can't overflow, and what isn't finite shows.
double sum_of_squares(DType dtype, const void* x, int64_t begin, int64_t end);
void scale(DType dtype, void* x, double factor, int64_t begin, int64_t end);
// Into [-limit, limit]; NaN stays NaN.
void clamp(DType dtype, void* x, double limit, int64_t begin, int64_t end);
// into = old · into + factor · x
void blend(DType dtype, void* into, double old, const void* x, double factor, int64_t begin, int64_t end);

// Columns [begin, end) of a row-major matrix: those with a norm above `most` are scaled down to it.
void limit_columns(DType dtype, void* x, int64_t rows, int64_t columns, double most, int64_t begin,
                   int64_t end);
// Negative elements become zero.
void rectify(DType dtype, void* x, int64_t begin, int64_t end);

}  // namespace bpcore::stretch
