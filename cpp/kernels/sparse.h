// Products with a sparse matrix in compressed rows: row i has the elements indptr[i] … indptr[i + 1).
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/simd.h"

namespace bpcore::kernels {

namespace sparse {

constexpr int most_vectors = 4;  // of a row that are in registers at once

// body(first column, vectors, mask of the last) for each block of columns.
template <class T, class Body>
BPCORE_INLINE void column_blocks(int64_t begin, int64_t end, Body&& body) {
  constexpr int64_t width = simd::vector_width<T>;
  int64_t column = begin;
  for (; column + most_vectors * width <= end; column += most_vectors * width)
    body(column, std::integral_constant<int, most_vectors>{}, simd::Mask<T>(static_cast<int>(width)));
  for (; column < end; column += width)
    body(column, std::integral_constant<int, 1>{},
         simd::Mask<T>(static_cast<int>(std::min(width, end - column))));
}

// Whole vectors need no mask.
template <class T, int vectors>
BPCORE_INLINE simd::Vec<T> load(const T* p, simd::Mask<T> mask) {
  if constexpr (vectors > 1) return simd::load(p);
  return simd::load(p, mask);
}

template <class T, int vectors>
BPCORE_INLINE void store(T* p, simd::Vec<T> v, simd::Mask<T> mask) {
  if constexpr (vectors > 1) return simd::store(p, v);
  simd::store(p, v, mask);
}

}  // namespace sparse

// out (width) = Σ values[k] · weight[indices[k], :] + bias, in the order of k: as a row of a dense product,
// whose further terms would be zeros.
template <class T>
void sparse_row(const int64_t* indices, const T* values, int64_t count,
                const T* weight,  // (any, width)
                const T* bias,    // (width), or null
                int64_t width, T* out) {
  sparse::column_blocks<T>(0, width, [&](int64_t column, auto vectors, simd::Mask<T> mask) {
    constexpr int n = decltype(vectors)::value;
    constexpr int64_t step = simd::vector_width<T>;
    simd::Vec<T> sum[n] = {};
    for (int64_t k = 0; k < count; ++k) {
      const T* from = weight + indices[k] * width + column;
      const simd::Vec<T> value = simd::broadcast(values[k]);
      for (int i = 0; i < n; ++i)
        sum[i] = simd::fma(value, sparse::load<T, n>(from + i * step, mask), sum[i]);
    }
    for (int i = 0; i < n; ++i) {
      if (bias != nullptr) sum[i] += sparse::load<T, n>(bias + column + i * step, mask);
      sparse::store<T, n>(out + column + i * step, sum[i], mask);
    }
  });
}

// out[indices[k], begin … end) += values[k] · g[begin … end), in the order of k.
template <class T>
void add_sparse_row(const int64_t* indices, const T* values, int64_t count,
                    const T* g,  // (width)
                    int64_t width, int64_t begin, int64_t end,
                    T* out) {  // (any, width)
  sparse::column_blocks<T>(begin, end, [&](int64_t column, auto vectors, simd::Mask<T> mask) {
    constexpr int n = decltype(vectors)::value;
    constexpr int64_t step = simd::vector_width<T>;
    simd::Vec<T> row[n];
    for (int i = 0; i < n; ++i) row[i] = sparse::load<T, n>(g + column + i * step, mask);
    for (int64_t k = 0; k < count; ++k) {
      T* to = out + indices[k] * width + column;
      const simd::Vec<T> value = simd::broadcast(values[k]);
      for (int i = 0; i < n; ++i)
        sparse::store<T, n>(to + i * step, simd::fma(value, row[i], sparse::load<T, n>(to + i * step, mask)),
                            mask);
    }
  });
}

}  // namespace bpcore::kernels
