// What the ops of attention share: where their inputs stand, and the plain formula.
#pragma once

#include <vector>

#include "graph/op.h"
#include "ops/record.h"

namespace bpcore {

// What is attended, and where the inputs of both ops stand: q (batch, queries, heads, width), k and v (batch,
// keys, heads, width), or all in one, (batch, time, 3 · heads · width), as one product makes them; then, if
// there are such, a mask that broadcasts to (batch, heads, queries, keys) and lengths (batch).
struct AttentionLayout {
  bool packed;
  int mask = -1, lengths = -1;  // numbers of the inputs
  int count;                    // of these inputs
  int64_t batch, queries, keys, heads, width;
  Shape mask_shape;

  AttentionLayout(const char* op, const Attributes& attributes, const std::vector<TensorType>& inputs);

  int64_t features() const { return heads * width; }
  int64_t row() const { return packed ? 3 * features() : features(); }  // elements between rows of q, k, v
  int64_t q_elements() const { return batch * queries * features(); }
  int64_t k_elements() const { return batch * keys * features(); }
  Shape out_shape() const { return {batch, queries, heads, width}; }
  Shape sums_shape() const { return {batch, heads, queries}; }
  int64_t sums_offset() const { return padded(q_elements()); }
  int64_t record_size() const { return sums_offset() + padded(batch * heads * queries); }
  // Of the gradients' record: those of q, k and v, or of all in one.
  int64_t k_offset() const { return padded(q_elements()); }
  int64_t v_offset() const { return k_offset() + padded(k_elements()); }
  int64_t gradients_size() const {
    return packed ? padded(3 * q_elements()) : v_offset() + padded(k_elements());
  }
};

struct PlainAttention {
  Value out, sums;
};

// The plain formula. Its weights are (batch, heads, keys, queries), in whose order dropout counts them.
PlainAttention plain_attention(const AttentionLayout& layout, const std::vector<Value>& inputs,
                               const Attributes& attributes);

}  // namespace bpcore
