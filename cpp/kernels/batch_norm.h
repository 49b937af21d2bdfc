// Batch normalisation of rows (rows, channels): statistics of each channel, and what is made of them.
//
// Sums over rows are those of blocks of rows, added up in their order. One of a channel's elements, its
// shift, is subtracted beforehand: where values are large and close to each other, their differences are
// exact, their mean is not. Variances are sums of squares around each block's own mean (T. F. Chan, G. H.
// Golub and R. J. LeVeque, Algorithms for computing the sample variance (1983)).
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/ranges.h"
#include "kernels/simd.h"
#include "kernels/vectors.h"

namespace bpcore::kernels {

constexpr int64_t batch_norm_block = 128;  // rows

inline int64_t batch_norm_blocks(int64_t rows) { return ceil_div(rows, batch_norm_block); }

// A channel's shift: of three elements the middle one, for an outlier would take the digits of all others.
template <class T>
struct Shift {
  const T *first, *middle, *last;  // rows

  Shift(const T* x /* (rows, channels) */, int64_t rows, int64_t channels)
      : first(x), middle(x + rows / 2 * channels), last(x + (rows - 1) * channels) {}

  template <class V>
  BPCORE_INLINE static V middle_of(V a, V b, V c) {
    const V least = a < b ? a : b, most = a < b ? b : a, capped = most < c ? most : c;
    return least < capped ? capped : least;
  }
};

// Σ term(row) over `rows`: four sums side by side, since each waits for the one before.
template <class V, class Term>
BPCORE_INLINE V sum_of_rows(int64_t rows, Term term) {
  V sum[4] = {};
  int64_t row = 0;
  for (; row + 4 <= rows; row += 4) {
#pragma GCC unroll 4
    for (int64_t i = 0; i < 4; ++i) sum[i] += term(row + i);
  }
  for (; row < rows; ++row) sum[0] += term(row);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// Of each channel over one block: the mean of x - shift, and the sum of squares around it.
template <class T>
void block_moments(const T* x /* (rows, channels) */, const Shift<T>& shift, int64_t rows, int64_t channels,
                   T* out /* (2, channels) */) {
  using Vec = simd::Vec<T>;
  for_vectors<T>(channels, [&](int64_t channel, const auto& access) {
    const T* from = x + channel;
    const Vec first = shift.middle_of(access.load(shift.first + channel), access.load(shift.middle + channel),
                                      access.load(shift.last + channel));
    const Vec mean =
        sum_of_rows<Vec>(rows, [&](int64_t row) { return access.load(from + row * channels) - first; }) /
        static_cast<T>(rows);
    access.store(out + channel, mean);
    access.store(out + channels + channel, sum_of_rows<Vec>(rows, [&](int64_t row) {
                   const Vec difference = access.load(from + row * channels) - first - mean;
                   return difference * difference;
                 }));
  });
}

// Of each channel over all rows: the mean, what rounding has taken from it, the biased variance.
template <class T>
void total_moments(const Shift<T>& shift, const T* blocks /* (blocks, 2, channels) */, int64_t rows,
                   int64_t channels, T* out /* (3, channels) */) {
  const int64_t count = batch_norm_blocks(rows);
  for (int64_t channel = 0; channel < channels; ++channel) {
    double sum = 0, squares = 0;
    const auto mean_of = [&](int64_t block) { return double{blocks[2 * block * channels + channel]}; };
    const auto size_of_block = [&](int64_t block) {
      return static_cast<double>(std::min(batch_norm_block, rows - block * batch_norm_block));
    };
    for (int64_t block = 0; block < count; ++block) sum += size_of_block(block) * mean_of(block);
    const double mean = sum / static_cast<double>(rows);
    for (int64_t block = 0; block < count; ++block) {
      const double difference = mean_of(block) - mean;
      squares += double{blocks[(2 * block + 1) * channels + channel]} +
                 size_of_block(block) * difference * difference;
    }
    const double first = shift.middle_of(shift.first[channel], shift.middle[channel], shift.last[channel]);
    const double whole = first + mean, added = whole - first;
    const double lost = (first - (whole - added)) + (mean - added);  // from the sum: D. E. Knuth's TwoSum
    out[channel] = static_cast<T>(whole);
    out[channels + channel] = static_cast<T>((whole - double{out[channel]}) + lost);
    out[2 * channels + channel] = static_cast<T>(squares / static_cast<double>(rows));
  }
}

// Of each channel over one block: Σ g and Σ g · (x - mean).
template <class T>
void block_sums(const T* x /* (rows, channels) */, const T* g /* as x */,
                const T* moments /* (3, channels) */, int64_t rows, int64_t channels,
                T* out /* (2, channels) */) {
  using Vec = simd::Vec<T>;
  for_vectors<T>(channels, [&](int64_t channel, const auto& access) {
    const Vec first = access.load(moments + channel), rest = access.load(moments + channels + channel);
    access.store(out + channel, sum_of_rows<Vec>(rows, [&](int64_t row) {
                   return access.load(g + row * channels + channel);
                 }));
    access.store(out + channels + channel, sum_of_rows<Vec>(rows, [&](int64_t row) {
                   const int64_t at = row * channels + channel;
                   return access.load(g + at) * (access.load(x + at) - first - rest);
                 }));
  });
}

// 1 / √(variance + eps)
template <class T>
BPCORE_INLINE simd::Vec<T> inverse_deviation(simd::Vec<T> variance, T eps) {
  return T(1) / simd::square_root(variance + eps);
}

// weight · (x - mean) / √(variance + eps) + bias; scratch: (2, channels).
template <class T>
void batch_norm_rows(const T* x /* (rows, channels) */, const T* weight /* (channels) */,
                     const T* bias /* (channels) */, const T* moments /* (3, channels) */, T eps,
                     int64_t rows, int64_t channels, T* scratch, T* y /* as x */) {
  using Vec = simd::Vec<T>;
  T *factor = scratch, *offset = scratch + channels;
  for_vectors<T>(channels, [&](int64_t channel, const auto& access) {
    const Vec scale = access.load(weight + channel) *
                      inverse_deviation<T>(access.load(moments + 2 * channels + channel), eps);
    access.store(factor + channel, scale);
    access.store(offset + channel,
                 access.load(bias + channel) - access.load(moments + channels + channel) * scale);
  });
  for (int64_t row = 0; row < rows; ++row, x += channels, y += channels)
    for_vectors<T>(channels, [&](int64_t channel, const auto& access) {
      access.store(y + channel, simd::fma(access.load(x + channel) - access.load(moments + channel),
                                          access.load(factor + channel), access.load(offset + channel)));
    });
}

// The derivative of batch_norm_rows by x, through the statistics too:
// weight / σ · (g - Σg / n - (x - mean) / σ² · Σ g·(x - mean) / n); scratch: (3, channels).
template <class T>
void batch_norm_gradient_rows(const T* x /* (rows, channels) */, const T* g /* as x */,
                              const T* weight /* (channels) */, const T* moments /* (3, channels) */,
                              const T* totals /* (2, channels) */, T eps, T count, int64_t rows,
                              int64_t channels, T* scratch, T* out /* as x */) {
  using Vec = simd::Vec<T>;
  T *factor = scratch, *slope = scratch + channels, *offset = scratch + 2 * channels;
  for_vectors<T>(channels, [&](int64_t channel, const auto& access) {
    const Vec inverse = inverse_deviation<T>(access.load(moments + 2 * channels + channel), eps);
    const Vec scale = access.load(weight + channel) * inverse;
    const Vec tilt = scale * (inverse * inverse) * (access.load(totals + channels + channel) / count);
    access.store(factor + channel, scale);
    access.store(slope + channel, -tilt);
    access.store(offset + channel, tilt * access.load(moments + channels + channel) -
                                       scale * (access.load(totals + channel) / count));
  });
  for (int64_t row = 0; row < rows; ++row, x += channels, g += channels, out += channels)
    for_vectors<T>(channels, [&](int64_t channel, const auto& access) {
      const Vec tilted = simd::fma(access.load(x + channel) - access.load(moments + channel),
                                   access.load(slope + channel), access.load(offset + channel));
      access.store(out + channel, simd::fma(access.load(g + channel), access.load(factor + channel), tilted));
    });
}

}  // namespace bpcore::kernels
