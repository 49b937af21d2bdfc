// Records: where the parts of a multi-output op lie in its output (see ops/part.cpp).
#pragma once

#include <algorithm>
#include <vector>

#include "core/ranges.h"
#include "graph/value.h"

namespace bpcore {

// Where the parts of a record begin: at multiples of 16 elements.
class RecordLayout {
 public:
  int64_t add(int64_t elements) {
    const int64_t offset = size();
    parts_.push_back({offset, offset + elements});
    return offset;
  }

  int64_t size() const { return parts_.empty() ? 0 : round_up(parts_.back().end, 16); }

  // Zeros between the parts.
  template <class T>
  void fill_gaps(T* record) const {
    for (const Range& part : parts_) std::fill(record + part.end, record + round_up(part.end, 16), T(0));
  }

  // The record as graph nodes made of its parts.
  Value join(const std::vector<Value>& parts) const {
    std::vector<Value> pieces;
    for (size_t i = 0; i < parts.size(); ++i) {
      const Range& place = parts_[i];
      pieces.push_back(reshape(parts[i], {place.end - place.begin}));
      if (const int64_t gap = round_up(place.end, 16) - place.end; gap > 0)
        pieces.push_back(zeros(parts[i].graph(), {parts[i].dtype(), Shape{gap}}));
    }
    return apply("concatenate", pieces, {{"axis", int64_t{0}}});
  }

 private:
  std::vector<Range> parts_;
};

}  // namespace bpcore
