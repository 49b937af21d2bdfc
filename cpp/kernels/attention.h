// Scaled dot-product attention of one head, block by block: the scores of a block of queries and keys never
// leave the level-2 cache, so memory does not grow with their product (Rabe and Staats 2021; Dao, Fu, Ermon,
// Rudra and Ré, FlashAttention, 2022).
//
// Scores of a block stand transposed, (keys, queries): a vector holds a key's scores for neighbouring
// queries, so that maxima and sums over keys need no lanes combined, and only queries (and the gradients of
// their outputs) are ever packed; keys, values and scores are read as they stand in all products.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "core/ranges.h"
#include "kernels/fetch.h"
#include "kernels/gemm/pack.h"
#include "kernels/gemm/panel.h"
#include "kernels/philox.h"
#include "kernels/softmax.h"

namespace bpcore::kernels {

// Queries and keys of a block; whole vectors.
constexpr int64_t attention_block = 64;

// What all heads share. Strides are elements between rows.
struct AttentionSizes {
  int64_t queries, keys, width;  // of a head
  int64_t q_stride, k_stride, v_stride, out_stride;
  int64_t mask_query, mask_key;  // elements of the mask from one query, one key to the next
  double scale;
  bool causal;  // query i sees keys 0 ... i
  bool drops;
  uint32_t threshold;  // of dropout, see kernels::dropout
  double kept;         // what it multiplies by
};

template <class T>
struct AttentionHead {
  const T *q, *k, *v;         // (queries, width), (keys, width) twice
  int64_t keys;               // only the first so many count
  const unsigned char* mask;  // of query 0 and key 0: 0 where a key is not seen; or null
  Philox random;
  int64_t first_weight;  // the index of the weight of key 0 and query 0; queries of a key are neighbours
};

template <class T>
class Attention {
 public:
  static constexpr int64_t forward_scratch(int64_t width) { return block * (block + 2 * width) + 3 * block; }
  static constexpr int64_t backward_scratch(int64_t width) {
    return block * (2 * block + 5 * width) + 2 * block;
  }

  // A step of `fetch` for every panel of a product, see panels_of_product.
  Attention(const AttentionSizes& sizes, const AttentionHead<T>& head, Fetch<FetchBy::Prefetch>& fetch,
            T* scratch)
      : s_(sizes), head_(head), fetch_(fetch), scores_(scratch), packed_q_(scores_ + block * block) {}

  // At least so many panels has a product of a block with the first keys; there are two of them forward, five
  // backward.
  static int64_t panels_of_product(int64_t queries, int64_t keys) {
    return std::max<int64_t>(1, std::min({queries, keys, block}) / rows);
  }

  // Outputs and logarithms of the sums of exponentials of queries [first, first + block), or as many as there
  // are. `out` and `log_sums` are those of query 0. A query that sees no key gets zeros and infinity, which
  // makes its weights zero in the backward pass.
  void attend(int64_t first, T* out, T* log_sums) {
    T* largest = packed_q_ + block * s_.width;
    T* sums = largest + block;
    T* factors = sums + block;
    T* copied_v = factors + block;
    std::fill_n(largest, block, -std::numeric_limits<T>::infinity());
    std::fill_n(sums, block, T(0));
    Block b = block_of_queries(first);
    pack(head_.q + first * s_.q_stride, s_.q_stride, b, packed_q_, static_cast<T>(s_.scale));
    const int64_t end = keys_seen(b);
    out += first * s_.out_stride;
    for (; b.key < end; b.key += block) {
      b.keys = std::min(block, end - b.key);
      multiply_scores(b, head_.k, s_.k_stride, packed_q_, scores_);
      for (int64_t column = 0; column < b.lanes; column += w) {
        hide(b, column);
        exponentials(b, column, largest + column, sums + column, factors + column);
        fill(b, column, scores_);
      }
      if (s_.drops) drop(b, scores_);
      if (b.key > 0)
        for (int64_t i = 0; i < b.queries; ++i)
          if (factors[i] != T(1)) scale_row(out + i * s_.out_stride, factors[i]);
      const Rows v = within_reach(head_.v + b.key * s_.v_stride, s_.v_stride, b.keys, copied_v);
      add_over_keys(b, scores_, v, out, s_.out_stride);
    }
    for (int64_t i = 0; i < b.queries; ++i) {
      if (sums[i] == T(0))
        std::fill_n(out + i * s_.out_stride, s_.width, T(0));
      else
        scale_row(out + i * s_.out_stride, T(1) / sums[i]);
    }
    map_vectors<T>(b.lanes, sums, sums, [](Vec sum) { return logarithm<T>(sum); });
    for (int64_t i = 0; i < b.queries; ++i)
      log_sums[first + i] = largest[i] == -std::numeric_limits<T>::infinity()
                                ? std::numeric_limits<T>::infinity()
                                : largest[i] + sums[i];
  }

  // The gradients of q, k and v, from what `attend` gave and the gradient `seed` with respect to `out`. They
  // have the strides of q, k and v.
  void differentiate(const T* out, const T* log_sums, const T* seed, T* dq, T* dk, T* dv) {
    T* slopes = packed_q_ + block * s_.width;  // by the scores
    T* packed_seed = slopes + block * block;
    T* sums = packed_seed + block * s_.width;  // log-sum-exp of the block's queries
    T* means = sums + block;                   // Σ weight · slope of each query, which is seed · out
    T* copied_q = means + block;
    T* copied_seed = copied_q + block * s_.width;
    T* copied_k = copied_seed + block * s_.width;
    const int64_t seen = s_.causal || s_.queries == 0 ? std::min(head_.keys, s_.queries) : head_.keys;
    for (int64_t j = seen; j < s_.keys; ++j) {
      std::fill_n(dk + j * s_.k_stride, s_.width, T(0));
      std::fill_n(dv + j * s_.v_stride, s_.width, T(0));
    }
    for (int64_t first = 0; first < s_.queries; first += block) {
      Block b = block_of_queries(first);
      const T* block_seed = seed + first * s_.out_stride;
      pack(head_.q + first * s_.q_stride, s_.q_stride, b, packed_q_, static_cast<T>(s_.scale));
      pack(block_seed, s_.out_stride, b, packed_seed, T(1));
      std::fill_n(sums, block, T(0));
      std::fill_n(means, block, T(0));
      std::copy_n(log_sums + first, b.queries, sums);
      for (int64_t i = 0; i < b.queries; ++i)
        means[i] = dot(block_seed + i * s_.out_stride, out + (first + i) * s_.out_stride);
      const Rows q = within_reach(head_.q + first * s_.q_stride, s_.q_stride, b.queries, copied_q);
      const Rows seeds = within_reach(block_seed, s_.out_stride, b.queries, copied_seed);
      const int64_t end = keys_seen(b);
      if (end == 0)
        for (int64_t i = 0; i < b.queries; ++i) std::fill_n(dq + (first + i) * s_.q_stride, s_.width, T(0));
      for (; b.key < end; b.key += block) {
        b.keys = std::min(block, end - b.key);
        multiply_scores(b, head_.k, s_.k_stride, packed_q_, scores_);
        multiply_scores(b, head_.v, s_.v_stride, packed_seed, slopes);
        if (s_.drops) drop(b, slopes);
        for (int64_t column = 0; column < b.lanes; column += w) {
          hide(b, column);
          weights_and_slopes(b, column, sums + column, means + column, slopes);
          fill(b, column, scores_);
          fill(b, column, slopes);
        }
        if (s_.drops) drop(b, scores_);
        const bool begun = s_.causal ? b.key < first : first > 0;  // whether other queries have seen the keys
        add_over_queries(b, scores_, seeds, dv + b.key * s_.v_stride, s_.v_stride, begun);
        add_over_queries(b, slopes, q, dk + b.key * s_.k_stride, s_.k_stride, begun);
        const Rows k = within_reach(head_.k + b.key * s_.k_stride, s_.k_stride, b.keys, copied_k);
        add_over_keys(b, slopes, k, dq + first * s_.q_stride, s_.q_stride);
      }
    }
  }

 private:
  using Vec = simd::Vec<T>;
  static constexpr int64_t w = simd::vector_width<T>, block = attention_block;
  static constexpr int64_t rows = panel_rows<T>;

  struct Block {
    int64_t query, queries, lanes;  // queries rounded up to whole vectors
    int64_t key, keys;
    bool diagonal;  // causal, and some of its queries don't see all of its keys
  };

  Block block_of_queries(int64_t first) const {
    const int64_t count = std::min(block, s_.queries - first);
    return {first, count, round_up(count, w), 0, 0, false};
  }
  int64_t keys_seen(const Block& b) const {
    return s_.causal ? std::min(head_.keys, b.query + b.queries) : head_.keys;
  }
  // How far below the block's first query its key `j` lies: only queries from there on see it.
  int64_t first_query(const Block& b, int64_t j) const {
    return s_.causal ? std::max<int64_t>(0, b.key + j - b.query) : 0;
  }
  // How many of the block's keys are seen by queries before `end`.
  int64_t keys_before(const Block& b, int64_t end) const {
    return s_.causal ? std::min(b.keys, b.query + end - b.key) : b.keys;
  }

  // x (queries, width) → (width, block), times `factor`; lanes behind the queries become zero.
  void pack(const T* x, int64_t stride, const Block& b, T* packed, T factor) const {
    transpose_panel(x, stride, s_.width, static_cast<int>(b.queries), packed, block);
    const simd::Mask<T> rest(static_cast<int>(b.queries - (b.lanes - w)));
    for (int64_t p = 0; p < s_.width; ++p, packed += block) {
      for (int64_t i = 0; i < b.lanes - w; i += w) simd::store(packed + i, simd::load(packed + i) * factor);
      T* last = packed + b.lanes - w;
      simd::store(last, simd::load(last, rest) * factor);
    }
  }

  // x (keys, width) times packed (width, lanes) → (keys, lanes), but for what no query sees.
  void multiply_scores(const Block& b, const T* x, int64_t stride, const T* packed, T* to) const {
    x += b.key * stride;
    for (int64_t j = 0; j < b.keys; j += rows) {
      const int64_t from = first_query(b, j) / w * w;
      fetch_.step();
      multiply_panel<T>(TileA::RowMajor, {x + j * stride, stride, packed + from, block, to + j * block + from,
                                          block, std::min(rows, b.keys - j), b.lanes - from, s_.width});
    }
  }

  // Rows of `width` elements, `stride` apart.
  struct Rows {
    const T* first;
    int64_t stride;
  };

  // `count` rows that a product reads again and again: as they are, or copied side by side where so many
  // would fall in one set of the level-1 cache that they drive each other out.
  Rows within_reach(const T* x, int64_t stride, int64_t count, T* copy) const {
    if (stride == s_.width || stride * static_cast<int64_t>(sizeof(T)) % 1024 != 0) return {x, stride};
    for (int64_t i = 0; i < count; ++i) std::copy_n(x + i * stride, s_.width, copy + i * s_.width);
    return {copy, s_.width};
  }

  // y (queries, width) += x (keys, queries)ᵀ times the block's rows (keys, width); for the first keys, =.
  void add_over_keys(const Block& b, const T* x, const Rows& from, T* y, int64_t y_stride) const {
    for (int64_t i = 0; i < b.queries; i += rows) {
      fetch_.step();
      multiply_panel<T>(TileA::ByDepth,
                        {x + i, block, from.first, from.stride, y + i * y_stride, y_stride,
                         std::min(rows, b.queries - i), s_.width, keys_before(b, i + rows), b.key > 0});
    }
  }

  // y (keys, width) = x (keys, queries) times the block's rows (queries, width), or += it.
  void add_over_queries(const Block& b, const T* x, const Rows& from, T* y, int64_t y_stride,
                        bool add) const {
    for (int64_t j = 0; j < b.keys; j += rows) {
      const int64_t first = first_query(b, j);
      fetch_.step();
      multiply_panel<T>(TileA::RowMajor, {x + j * block + first, block, from.first + first * from.stride,
                                          from.stride, y + j * y_stride, y_stride, std::min(rows, b.keys - j),
                                          s_.width, b.queries - first, add});
    }
  }

  // Scores of a vector of queries become -infinity where the key is not seen.
  void hide(const Block& b, int64_t column) {
    using Lanes = simd::Vec<simd::Lanes<T>>;
    const Vec nothing = simd::broadcast(-std::numeric_limits<T>::infinity());
    const int64_t end = keys_before(b, column + w);
    T* scores = scores_ + column;
    if (head_.mask != nullptr) {
      const int64_t count = std::min(w, b.queries - column);
      const unsigned char* seen = head_.mask + (b.query + column) * s_.mask_query + b.key * s_.mask_key;
      for (int64_t j = 0; j < end; ++j, seen += s_.mask_key) {
        T* to = scores + j * block;
        if (s_.mask_query == 0) {
          if (*seen == 0) simd::store(to, nothing);
          continue;
        }
        Lanes shown{};
        for (int64_t i = 0; i < count; ++i) shown[i] = seen[i * s_.mask_query];
        simd::store(to, shown != Lanes{} ? simd::load(to) : nothing);
      }
    }
    if (!s_.causal) return;
    const Lanes lane = simd::count_up<simd::Lanes<T>>();
    for (int64_t j = std::max<int64_t>(0, b.query + column + 1 - b.key); j < end; ++j) {
      const Lanes first = static_cast<simd::Lanes<T>>(b.key + j - b.query - column) - Lanes{};
      T* to = scores + j * block;
      simd::store(to, lane < first ? nothing : simd::load(to));
    }
  }

  // Behind the keys that a vector of queries sees, products read some more rows: zeros.
  void fill(const Block& b, int64_t column, T* x) const {
    const int64_t end = keys_before(b, column + w);
    for (int64_t j = end; j < std::min(b.keys, end + rows); ++j) simd::store(x + j * block + column, Vec{});
  }

  // Scores of a vector of queries become exponentials, shifted by the largest so far, which may grow;
  // `factors` is what that makes of earlier ones.
  void exponentials(const Block& b, int64_t column, T* largest, T* sums, T* factors) {
    T* scores = scores_ + column;
    const int64_t end = keys_before(b, column + w);
    const Vec before = simd::load(largest);
    Vec best[4] = {before, before, before, before};
    int64_t j = 0;
    for (; j + 4 <= end; j += 4) {
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) best[i] = larger(simd::load(scores + (j + i) * block), best[i]);
    }
    for (; j < end; ++j) best[0] = larger(simd::load(scores + j * block), best[0]);
    const Vec now = larger(larger(best[0], best[1]), larger(best[2], best[3]));
    const Vec shift = now == simd::broadcast(-std::numeric_limits<T>::infinity()) ? Vec{} : now;
    Vec sum{};
    for (j = 0; j < end; ++j) {
      const Vec e = exponential_or_zero<T>(simd::load(scores + j * block) - shift);
      simd::store(scores + j * block, e);
      sum += e;
    }
    const Vec factor = exponential_or_zero<T>(before - shift);
    simd::store(largest, now);
    simd::store(factors, factor);
    simd::store(sums, simd::fma(simd::load(sums), factor, sum));
  }

  // Scores become weights, gradients by weights become gradients by unscaled scores.
  void weights_and_slopes(const Block& b, int64_t column, const T* sums, const T* means, T* slopes) {
    const Vec sum = simd::load(sums), mean = simd::load(means);
    const T scale = static_cast<T>(s_.scale);
    T* scores = scores_ + column;
    slopes += column;
    const int64_t end = keys_before(b, column + w);
    for (int64_t j = 0; j < end; ++j) {
      const Vec weight = exponential_or_zero<T>(simd::load(scores + j * block) - sum);
      simd::store(scores + j * block, weight);
      simd::store(slopes + j * block, weight * (simd::load(slopes + j * block) - mean) * scale);
    }
  }

  void drop(const Block& b, T* x) const {
    for (int64_t j = 0; j < b.keys; ++j) {
      const int64_t from = first_query(b, j) / w * w;
      T* row = x + j * block + from;
      dropout(head_.random, head_.first_weight + (b.key + j) * s_.queries + b.query + from, b.queries - from,
              s_.threshold, static_cast<T>(s_.kept), row, row);
    }
  }

  void scale_row(T* row, T factor) const {
    map_vectors<T>(s_.width, row, row, [factor](Vec v) { return v * factor; });
  }

  T dot(const T* a, const T* b) const {
    Vec sum{};
    int64_t i = 0;
    for (; i + w <= s_.width; i += w) sum = simd::fma(simd::load(a + i), simd::load(b + i), sum);
    if (i < s_.width) {
      const simd::Mask<T> rest(static_cast<int>(s_.width - i));
      sum = simd::fma(simd::load(a + i, rest), simd::load(b + i, rest), sum);
    }
    return simd::combine_lanes<T>(sum, Sum{})[0];
  }

  const AttentionSizes& s_;
  const AttentionHead<T>& head_;
  Fetch<FetchBy::Prefetch>& fetch_;
  T* scores_;    // (block, block): scores, then weights, of keys and queries
  T* packed_q_;  // (width, block)
};

}  // namespace bpcore::kernels
