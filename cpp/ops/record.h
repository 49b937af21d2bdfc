// How ops with several results lay them out in one record (see part.cpp).
#pragma once

#include <algorithm>
#include <vector>

#include "core/ranges.h"
#include "graph/value.h"

namespace bpcore {

constexpr int64_t record_unit = 16;  // parts begin at multiples of it, zeros fill the gaps

inline int64_t padded(int64_t elements) { return round_up(elements, record_unit); }

// Zeros behind a part that ends at `end`, which no task of its own writes.
template <class T>
void clear_gap(T* record, int64_t end) {
  std::fill(record + end, record + padded(end), T(0));
}

// The values as one record.
inline Value as_record(const std::vector<Value>& values) {
  std::vector<Value> pieces;
  for (const Value& value : values) {
    const int64_t count = value.shape().elements(), gap = padded(count) - count;
    pieces.push_back(reshape(value, {count}));
    if (gap > 0) pieces.push_back(zeros(value.graph(), {value.dtype(), {gap}}));
  }
  return apply("concatenate", pieces, {{"axis", int64_t{0}}});
}

// Where the parts of a record begin, one after the other.
class RecordLayout {
 public:
  int64_t add(int64_t elements) {
    const int64_t offset = size();
    ends_.push_back(offset + elements);
    return offset;
  }

  int64_t size() const { return ends_.empty() ? 0 : padded(ends_.back()); }

  // Zeros behind all parts.
  template <class T>
  void clear_gaps(T* record) const {
    for (const int64_t end : ends_) clear_gap(record, end);
  }

 private:
  std::vector<int64_t> ends_;
};

}  // namespace bpcore
