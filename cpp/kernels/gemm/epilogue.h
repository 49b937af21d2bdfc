// What happens to the elements of a product when they are finished, while they are still in registers.
#pragma once

#include <cstdint>

#include "kernels/simd.h"

namespace bpcore::kernels {

// For each element of C (m, n): bias, plus, relu, where, in this order.
template <class T>
struct Epilogue {
  const T* bias = nullptr;   // (n): added
  const T* plus = nullptr;   // (m, n), rows as far apart as C's: added
  bool relu = false;         // negative elements become zero; NaN stays
  const T* where = nullptr;  // as `plus`: only elements where this is > 0 stay, others become zero

  // Of the part of C that begins `offset` elements after C, in its column `column`.
  Epilogue at(int64_t offset, int64_t column) const {
    return {moved(bias, column), moved(plus, offset), relu, moved(where, offset)};
  }

 private:
  static const T* moved(const T* begin, int64_t by) { return begin != nullptr ? begin + by : nullptr; }
};

// For vectors beside each other in rows `stride` apart; load(row, v) may mask the last one. All loops over
// registers must be unrolled fully, or the compiler keeps the vectors in memory.
template <class T, int Rows, int Vectors, class Load>
BPCORE_INLINE void finish(const Epilogue<T>& epilogue, int64_t stride, simd::Vec<T> (&acc)[Rows][Vectors],
                          Load load) {
  using V = simd::Vec<T>;
  if (epilogue.bias != nullptr) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      const V bias = load(epilogue.bias, v);
#pragma GCC unroll 16
      for (int i = 0; i < Rows; ++i) acc[i][v] += bias;
    }
  }
  if (epilogue.plus != nullptr) {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) acc[i][v] += load(epilogue.plus + i * stride, v);
    }
  }
  if (epilogue.relu) {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) acc[i][v] = simd::relu(acc[i][v]);
    }
  }
  if (epilogue.where != nullptr) {
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v)
        acc[i][v] = load(epilogue.where + i * stride, v) > V{} ? acc[i][v] : V{};
    }
  }
}

// For one vector; load(row) may be masked.
template <class T, class Load>
BPCORE_INLINE simd::Vec<T> finish(const Epilogue<T>& epilogue, simd::Vec<T> value, Load load) {
  simd::Vec<T> values[1][1] = {{value}};
  finish(epilogue, 0, values, [&](const T* row, int) { return load(row); });
  return values[0][0];
}

// For one vector in each of several rows `stride` apart: the questions are asked once for all of them.
template <class T, int Rows, class Load>
BPCORE_INLINE void finish(const Epilogue<T>& epilogue, int64_t stride, simd::Vec<T> (&column)[Rows],
                          Load load) {
  simd::Vec<T> acc[Rows][1];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) acc[i][0] = column[i];
  finish(epilogue, stride, acc, [&](const T* row, int) { return load(row); });
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i) column[i] = acc[i][0];
}

// For one element.
template <class T>
BPCORE_INLINE T finish(const Epilogue<T>& epilogue, T value) {
  if (epilogue.bias != nullptr) value += *epilogue.bias;
  if (epilogue.plus != nullptr) value += *epilogue.plus;
  if (epilogue.relu && value <= T(0)) value = T(0);
  if (epilogue.where != nullptr && !(*epilogue.where > T(0))) value = T(0);
  return value;
}

}  // namespace bpcore::kernels
