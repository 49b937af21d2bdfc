#include "kernels/conv/input_gradient.h"

#include <numeric>

namespace bpcore::kernels {

namespace {

constexpr int64_t most_clearing_tasks = 16, cleared_by_a_task = 64 << 10;  // elements

// The positions first, first + stride, … of an axis, where output o meets position i by tap t if
// o · stride + t · dilation = i + before. The class meets tap `least`, and those after it that are `apart`
// from each other.
struct ResidueClass {
  int64_t first, least;
};

int64_t taps_apart(const ConvAxis& a) { return a.stride / std::gcd(a.stride, a.dilation); }

// In the order of their first positions. Taps before the first that meets a class again meet one each.
std::vector<ResidueClass> residue_classes(const ConvAxis& a) {
  std::vector<ResidueClass> classes;
  for (int64_t tap = 0; tap < std::min(taps_apart(a), a.kernel); ++tap) {
    const int64_t residue = (tap * a.dilation - a.before) % a.stride;
    const int64_t first = residue < 0 ? residue + a.stride : residue;
    if (first < a.in) classes.push_back({first, tap});
  }
  std::sort(classes.begin(), classes.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return classes;
}

// The window meets the last of the class's taps first, so that the outputs come in order.
CorrelationAxis correlation_axis(const ConvAxis& a, const ResidueClass& met) {
  const int64_t apart = taps_apart(a), taps = ceil_div(a.kernel - met.least, apart);
  const int64_t last = met.least + (taps - 1) * apart;
  const int64_t begin = (met.first + a.before - last * a.dilation) / a.stride;
  const int64_t positions = ceil_div(a.in - met.first, a.stride);
  const int64_t spread = a.dilation / std::gcd(a.stride, a.dilation);
  return {{a.out, positions, 1, begin, taps, spread}, a.in, met.first, a.stride, a.kernel, last, -apart};
}

}  // namespace

std::vector<CorrelationShape> input_gradient_correlations(const ConvShape& s) {
  const std::vector<ResidueClass> rows = residue_classes(s.y), columns = residue_classes(s.x);
  std::vector<CorrelationShape> correlations;
  for (const ResidueClass& y : rows)
    for (const ResidueClass& x : columns)
      correlations.push_back({s.images, s.filters, s.channels, s.groups, true, correlation_axis(s.y, y),
                              correlation_axis(s.x, x)});
  return correlations;
}

UnmetPositions::Axis::Axis(const ConvAxis& axis) : size(axis.in), stride(axis.stride) {
  int64_t at = 0;
  for (const ResidueClass& met : residue_classes(axis)) {
    if (met.first > at) gaps.push_back({at, met.first});
    at = met.first + 1;
  }
  if (const int64_t end = std::min(stride, size); at < end) gaps.push_back({at, end});
}

bool UnmetPositions::Axis::is_unmet(int64_t position) const {
  const auto after = std::upper_bound(gaps.begin(), gaps.end(), position % stride,
                                      [](int64_t value, const Range& gap) { return value < gap.begin; });
  return after != gaps.begin() && position % stride < (after - 1)->end;
}

UnmetPositions::UnmetPositions(const ConvShape& s)
    : images_(s.images), channels_(s.channels), y_(s.y), x_(s.x) {
  const bool all_met = y_.gaps.empty() && x_.gaps.empty();
  const int64_t most = std::min(s.images * s.y.in, most_clearing_tasks);
  tasks_ = all_met || elements() == 0 ? 0 : std::clamp<int64_t>(elements() / cleared_by_a_task, 1, most);
}

}  // namespace bpcore::kernels
