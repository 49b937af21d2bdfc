// Pooling of images (height, width, channels): maxima and means of the elements of a window.
//
// Vectors run along the channels; a short end is masked. Elements of a window are taken row by row, so every
// sum has a fixed order. Of equal largest elements the first counts; a NaN is larger than everything.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/ranges.h"
#include "kernels/lanes.h"
#include "kernels/reduce.h"
#include "kernels/simd.h"
#include "kernels/vectors.h"

namespace bpcore::kernels {

// Windows along one axis. Every window has an element inside.
struct PoolAxis {
  int64_t size, windows, window, stride, before, dilation;

  int64_t start(int64_t number) const { return number * stride - before; }
  int64_t span() const { return dilation * (window - 1) + 1; }

  // Which of a window's elements are inside.
  Range inside(int64_t number) const {
    const int64_t first = start(number);
    if (first >= 0 && first + span() <= size) return {0, window};
    return {std::max<int64_t>(0, ceil_div(-first, dilation)),
            std::min(window, ceil_div(size - first, dilation))};
  }

  // The windows of which all elements are inside.
  Range whole() const {
    const int64_t first = std::min(windows, ceil_div(before, stride)), room = size + before - span();
    return {first, std::clamp<int64_t>(room < 0 ? 0 : room / stride + 1, first, windows)};
  }

  // The windows that reach into `elements`.
  Range reaching(Range elements) const {
    const int64_t first = elements.begin + before - span() + 1, end = elements.end - 1 + before;
    return {first <= 0 ? 0 : ceil_div(first, stride), std::min(windows, end / stride + 1)};
  }

  // Windows follow each other without gap or overlap.
  bool tiles() const { return dilation == 1 && stride == window; }
  int64_t covered() const { return std::min(size, start(windows)); }  // if they do: by all of them
};

struct Pool {
  PoolAxis rows, columns;
  int64_t channels;

  int64_t row() const { return columns.size * channels; }  // elements of one
  int64_t pooled_row() const { return columns.windows * channels; }
  bool tiles() const { return rows.tiles() && columns.tiles(); }
  // The usual ones: of 2 × 2, side by side, all of them whole.
  bool fours() const {
    return tiles() && rows.window == 2 && columns.window == 2 && rows.before == 0 && columns.before == 0 &&
           rows.windows * 2 <= rows.size && columns.windows * 2 <= columns.size;
  }
};

// The elements of a window that are inside: rows × columns of them, so many elements of the array apart.
struct Taps {
  int64_t rows, columns, row_step, column_step;
};
// body(number of the window in its row, index of its first element in an image, its taps) for the windows of
// a row. Most of them are whole, and alike.
template <class Body>
BPCORE_INLINE void for_row(const Pool& pool, int64_t row, Range inside_rows, Body body) {
  const PoolAxis& columns = pool.columns;
  const int64_t top = pool.rows.start(row) + inside_rows.begin * pool.rows.dilation;
  const int64_t rows = inside_rows.end - inside_rows.begin;
  const int64_t row_step = pool.rows.dilation * pool.row(), column_step = columns.dilation * pool.channels;
  const auto cut = [&](int64_t from, int64_t to) {
    for (int64_t column = from; column < to; ++column) {
      const Range inside = columns.inside(column);
      const int64_t left = columns.start(column) + inside.begin * columns.dilation;
      body(column, top * pool.row() + left * pool.channels,
           Taps{rows, inside.end - inside.begin, row_step, column_step});
    }
  };
  const auto alike = [&](Range windows) {
    const Taps taps{rows, columns.window, row_step, column_step};
    int64_t first = top * pool.row() + columns.start(windows.begin) * pool.channels;
    for (int64_t column = windows.begin; column < windows.end; ++column) {
      body(column, first, taps);
      first += columns.stride * pool.channels;
    }
  };
  const Range whole = columns.whole();
  cut(0, whole.begin);
  alike(whole);
  cut(whole.end, columns.windows);
}

// body(number of the tap, its offset), row by row
template <class Body>
BPCORE_INLINE void for_taps(const Taps& taps, Body body) {
  for (int64_t i = 0; i < taps.rows; ++i) {
    for (int64_t j = 0; j < taps.columns; ++j)
      body(i * taps.columns + j, i * taps.row_step + j * taps.column_step);
  }
}

// body(number of the window in `y`, index of the first element in its image, its taps) for windows in rows
// `share`, counted over all images.
template <class Body>
BPCORE_INLINE void for_windows(const Pool& pool, Range share, Body body) {
  for (int64_t at = share.begin; at < share.end; ++at) {
    const int64_t image = at / pool.rows.windows, row = at % pool.rows.windows;
    const Range inside = pool.rows.inside(row);
    for_row(pool, row, inside, [&](int64_t column, int64_t first, const Taps& taps) {
      body(at * pool.columns.windows + column, image * pool.rows.size * pool.row() + first, taps);
    });
  }
}

// The first of the largest elements of a window, in every lane by itself.
template <class T>
struct Largest {
  simd::Vec<simd::Lanes<T>> tap;
  simd::Vec<T> value;
};

template <class T, class Access>
BPCORE_INLINE Largest<T> largest_of(const T* x, const Taps& taps, const Access& access) {
  using Numbers = simd::Vec<simd::Lanes<T>>;
  simd::Vec<T> best = access.load(x);
  Numbers number{};
  for_taps(taps, [&](int64_t tap, int64_t offset) {
    const simd::Vec<T> value = access.load(x + offset);
    const Numbers wins = ~(value <= best) & (best == best);
    best = wins ? value : best;
    number = wins ? static_cast<simd::Lanes<T>>(tap) - Numbers{} : number;
  });
  return {number, best};
}

// A row of windows of 2 × 2 over two rows of an image, which are `row` elements apart.
template <class T>
void max_of_fours(int64_t windows, int64_t channels, int64_t row, const T* x, T* y) {
  for (int64_t window = 0; window < windows; ++window, x += 2 * channels, y += channels)
    for_vectors<T>(channels, [&](int64_t channel, const auto& access) __attribute__((always_inline)) {
      const T *above = x + channel, *below = above + row;
      const auto upper = Max{}(access.load(above), access.load(above + channels));
      const auto lower = Max{}(access.load(below), access.load(below + channels));
      access.store(y + channel, Max{}(upper, lower));
    });
}

// The reverse: each window's g goes to the first of its largest. With `Positive`, only where that is > 0.
template <bool Positive, class T>
void gradient_of_fours(int64_t windows, int64_t channels, int64_t row, const T* x, const T* g, T* out) {
  using V = simd::Vec<T>;
  const auto wins = [](V value, V best)
                        __attribute__((always_inline)) { return ~(value <= best) & (best == best); };
  for (int64_t window = 0; window < windows; ++window, x += 2 * channels, out += 2 * channels, g += channels)
    for_vectors<T>(channels, [&](int64_t channel, const auto& access) __attribute__((always_inline)) {
      const T* from = x + channel;
      T* to = out + channel;
      V best = access.load(from);
      const V second = access.load(from + channels), third = access.load(from + row),
              fourth = access.load(from + row + channels);
      const auto second_wins = wins(second, best);
      best = second_wins ? second : best;
      const auto third_wins = wins(third, best);
      best = third_wins ? third : best;
      const auto fourth_wins = wins(fourth, best);
      V seed = access.load(g + channel);  // for the last that wins
      if constexpr (Positive) seed = (fourth_wins ? fourth : best) > V{} ? seed : V{};
      const V of_three = fourth_wins ? V{} : seed, of_two = third_wins ? V{} : of_three;
      access.store(to, second_wins ? V{} : of_two);
      access.store(to + channels, second_wins ? of_two : V{});
      access.store(to + row, third_wins ? of_three : V{});
      access.store(to + row + channels, fourth_wins ? seed : V{});
    });
}

template <class T>
BPCORE_INLINE simd::Vec<simd::Lanes<T>> is_tap(simd::Vec<simd::Lanes<T>> number, int64_t tap) {
  return number == static_cast<simd::Lanes<T>>(tap) - simd::Vec<simd::Lanes<T>>{};
}

// y = largest element of each window, for rows `share` of windows.
template <class T>
void max_pool_rows(const Pool& pool, Range share, const T* x /* (images, rows, columns, channels) */,
                   T* y /* (images, windows, windows, channels) */) {
  if (pool.fours()) {
    for (int64_t at = share.begin; at < share.end; ++at) {
      const int64_t image = at / pool.rows.windows, row = at % pool.rows.windows;
      max_of_fours(pool.columns.windows, pool.channels, pool.row(),
                   x + (image * pool.rows.size + 2 * row) * pool.row(), y + at * pool.pooled_row());
    }
    return;
  }
  for_windows(pool, share, [&](int64_t window, int64_t first, const Taps& taps) {
    for_vectors<T>(pool.channels, [&](int64_t channel, const auto& access) {
      const T* from = x + first + channel;
      simd::Vec<T> best = access.load(from);
      for_taps(taps, [&](int64_t, int64_t offset) { best = Max{}(best, access.load(from + offset)); });
      access.store(y + window * pool.channels + channel, best);
    });
  });
}

// y = element of v where x is largest in the window, for rows `share` of windows.
template <class T>
void max_pool_pick_rows(const Pool& pool, Range share, const T* x /* (images, rows, columns, channels) */,
                        const T* v /* as x */, T* y /* (images, windows, windows, channels) */) {
  for_windows(pool, share, [&](int64_t window, int64_t first, const Taps& taps) {
    for_vectors<T>(pool.channels, [&](int64_t channel, const auto& access) {
      const auto number = largest_of(x + first + channel, taps, access).tap;
      simd::Vec<T> picked{};
      for_taps(taps, [&](int64_t tap, int64_t offset) {
        picked = is_tap<T>(number, tap) ? access.load(v + first + channel + offset) : picked;
      });
      access.store(y + window * pool.channels + channel, picked);
    });
  });
}

// Zeros in those elements of a row of x that no window covers; everywhere unless windows tile it.
template <class T>
void clear_beyond(const Pool& pool, bool tiles, int64_t row, T* out /* (columns, channels) */) {
  const bool covered = tiles && row < pool.rows.covered();
  std::fill(out + (covered ? pool.columns.covered() * pool.channels : 0), out + pool.row(), T(0));
}

// The reverse of max_pool_rows for rows `band` of one image: each window's g goes to its largest element,
// and an element adds up what it gets in the order of the windows. With `Positive`, only elements > 0 get it:
// x is the output of a relu, whose derivative is taken along.
template <bool Positive, class T>
void max_pool_gradient_rows(const Pool& pool, Range band, const T* x /* (rows, columns, channels) */,
                            const T* g /* (windows, windows, channels) */, T* out /* as x */) {
  const bool tiles = pool.tiles(), fours = pool.fours();
  for (int64_t row = band.begin; row < band.end; ++row)
    clear_beyond(pool, tiles, row, out + row * pool.row());
  const Range windows = pool.rows.reaching(band);
  for (int64_t row = windows.begin; row < windows.end; ++row) {
    const Range inside = pool.rows.inside(row);
    // Rows of taps within the band; the largest element may stand in another.
    const int64_t top = pool.rows.start(row) + inside.begin * pool.rows.dilation;
    const int64_t last = inside.end - inside.begin;
    const Range kept = {std::clamp<int64_t>(ceil_div(band.begin - top, pool.rows.dilation), 0, last),
                        std::clamp<int64_t>(ceil_div(band.end - top, pool.rows.dilation), 0, last)};
    if (fours && kept.begin == 0 && kept.end == last) {
      gradient_of_fours<Positive>(pool.columns.windows, pool.channels, pool.row(), x + top * pool.row(),
                                  g + row * pool.pooled_row(), out + top * pool.row());
      continue;
    }
    for_row(pool, row, inside, [&](int64_t column, int64_t first, const Taps& taps) {
      for_vectors<T>(pool.channels, [&](int64_t channel, const auto& access) {
        const Largest<T> largest = largest_of(x + first + channel, taps, access);
        simd::Vec<T> seed = access.load(g + row * pool.pooled_row() + column * pool.channels + channel);
        if constexpr (Positive) seed = largest.value > simd::Vec<T>{} ? seed : simd::Vec<T>{};
        const auto add = [&](int64_t tap, int64_t offset) {
          T* to = out + first + channel + offset;
          const simd::Vec<T> part = is_tap<T>(largest.tap, tap) ? seed : simd::Vec<T>{};
          access.store(to, tiles ? part : access.load(to) + part);
        };
        if (kept.begin == 0 && kept.end == last) return for_taps(taps, add);
        for_taps(Taps{kept.end - kept.begin, taps.columns, taps.row_step, taps.column_step},
                 [&](int64_t tap, int64_t offset) {
                   add(tap + kept.begin * taps.columns, offset + kept.begin * taps.row_step);
                 });
      });
    });
  }
}

// How many elements count in a window's mean.
struct Divisor {
  bool padding;  // whether those outside do, too

  int64_t operator()(const PoolAxis& axis, int64_t window) const {
    const Range inside = axis.inside(window);
    return padding ? axis.window : inside.end - inside.begin;
  }
};

// y = mean of each window, for rows `share` of windows.
template <class T>
void avg_pool_rows(const Pool& pool, Divisor divisor, Range share,
                   const T* x /* (images, rows, columns, channels) */,
                   T* y /* (images, windows, windows, channels) */) {
  for_windows(pool, share, [&](int64_t window, int64_t first, const Taps& taps) {
    const int64_t row = window / pool.columns.windows % pool.rows.windows;
    const int64_t column = window % pool.columns.windows;
    const T count = static_cast<T>(divisor(pool.rows, row) * divisor(pool.columns, column));
    for_vectors<T>(pool.channels, [&](int64_t channel, const auto& access) {
      simd::Vec<T> sum{};
      for_taps(taps, [&](int64_t, int64_t offset) { sum += access.load(x + first + channel + offset); });
      access.store(y + window * pool.channels + channel, sum / count);
    });
  });
}

// The reverse of avg_pool_rows, for rows `share` of x, counted over all images: an element adds up its part
// of the windows that it is in, in their order. Dilation must be 1.
template <class T>
void avg_pool_gradient_rows(const Pool& pool, Divisor divisor, Range share,
                            const T* g /* (images, windows, windows, channels) */,
                            T* out /* (images, rows, columns, channels) */) {
  const bool tiles = pool.tiles();
  for (int64_t at = share.begin; at < share.end; ++at) {
    const int64_t image = at / pool.rows.size, row = at % pool.rows.size;
    T* to = out + at * pool.row();
    clear_beyond(pool, tiles, row, to);
    const Range over = pool.rows.reaching({row, row + 1});
    for (int64_t i = over.begin; i < over.end; ++i) {
      const int64_t tall = divisor(pool.rows, i);
      const T* from = g + (image * pool.rows.windows + i) * pool.pooled_row();
      for (int64_t j = 0; j < pool.columns.windows; ++j, from += pool.channels) {
        const T factor = T(1) / static_cast<T>(tall * divisor(pool.columns, j));
        const Range inside = pool.columns.inside(j);
        const int64_t left = pool.columns.start(j);
        for_vectors<T>(pool.channels, [&](int64_t channel, const auto& access) {
          const simd::Vec<T> part = access.load(from + channel) * factor;
          for (int64_t tap = inside.begin; tap < inside.end; ++tap) {
            T* element = to + (left + tap) * pool.channels + channel;
            access.store(element, tiles ? part : access.load(element) + part);
          }
        });
      }
    }
  }
}

}  // namespace bpcore::kernels
