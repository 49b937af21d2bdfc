#include "training/rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/simd.h"

namespace bpcore {

namespace {

template <class Visitor>
auto with_sample(SampleType type, Visitor&& visitor) {
  switch (type) {
    case SampleType::Bool:
      return visitor(TypeTag<Bool>{});
    case SampleType::Int8:
      return visitor(TypeTag<int8_t>{});
    case SampleType::Int16:
      return visitor(TypeTag<int16_t>{});
    case SampleType::Int32:
      return visitor(TypeTag<int32_t>{});
    case SampleType::Int64:
      return visitor(TypeTag<int64_t>{});
    case SampleType::UInt8:
      return visitor(TypeTag<uint8_t>{});
    case SampleType::UInt16:
      return visitor(TypeTag<uint16_t>{});
    case SampleType::UInt32:
      return visitor(TypeTag<uint32_t>{});
    case SampleType::UInt64:
      return visitor(TypeTag<uint64_t>{});
    case SampleType::Float32:
      return visitor(TypeTag<float>{});
    case SampleType::Float64:
      break;
  }
  return visitor(TypeTag<double>{});
}

// Rows of at least so many bytes are asked for while the one before is copied: to the hardware's own fetching
// every row is a new place, and it would begin again and again.
constexpr int64_t fetched_row = 512;

template <class From, class To>
void gather(const SampleArray& from, const int64_t* rows, int64_t count, void* to) {
  const int64_t width = from.row_elements, row_bytes = width * static_cast<int64_t>(sizeof(From));
  for (int64_t i = 0; i < count; ++i) {
    const From* row = reinterpret_cast<const From*>(from.data) + rows[i] * width;
    To* out = static_cast<To*>(to) + i * width;
    if (row_bytes >= fetched_row && i + 1 < count) {
      const char* next = from.data + rows[i + 1] * row_bytes;
      for (int64_t at = 0; at < row_bytes; at += kernels::simd::line_bytes)
        kernels::simd::prefetch_far(next + at);
    }
    if constexpr (std::is_same_v<To, Bool>) {
      for (int64_t j = 0; j < width; ++j) out[j] = row[j] != From(0);
    } else if constexpr (std::is_same_v<From, To>) {
      if (width > 0) std::memcpy(out, row, static_cast<size_t>(width) * sizeof(To));
    } else {
      for (int64_t j = 0; j < width; ++j) out[j] = static_cast<To>(row[j]);
    }
  }
}

// Whether `count` values are all finite: the products of the others with zero are NaN, and stay in the sums.
template <class T>
bool all_finite(const T* values, int64_t count) {
  namespace simd = kernels::simd;
  constexpr int64_t width = simd::vector_width<T>, together = 4;
  simd::Vec<T> sums[together] = {};
  int64_t i = 0;
  for (; i + together * width <= count; i += together * width) {
#pragma GCC unroll 4
    for (int v = 0; v < together; ++v)
      sums[v] = simd::fma(simd::load(values + i + v * width), simd::Vec<T>{}, sums[v]);
  }
  T rest = 0;
  for (; i < count; ++i) rest += values[i] * T(0);
  const simd::Vec<T> all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  for (int lane = 0; lane < width; ++lane) rest += all[lane];
  return rest == 0;
}

}  // namespace

size_t size_of(SampleType type) {
  return with_sample(type, [](auto tag) { return sizeof(typename decltype(tag)::type); });
}

GatherFunction gather_function(SampleType from, DType to) {
  return with_sample(from, [&](auto source) {
    return with_any(to, [&](auto target) -> GatherFunction {
      return gather<typename decltype(source)::type, typename decltype(target)::type>;
    });
  });
}

bool same_representation(SampleType from, DType to) {
  if (to == DType::Bool) return from == SampleType::Bool;
  return with_sample(from, [&](auto source) {
    return with_any(to, [&](auto target) {
      return std::is_same_v<typename decltype(source)::type, typename decltype(target)::type>;
    });
  });
}

int64_t first_not_finite(const SampleArray& array, DType to) {
  return with_sample(array.type, [&](auto tag) -> int64_t {
    using T = typename decltype(tag)::type;
    if constexpr (!std::is_floating_point_v<T>) {
      return -1;  // every integer fits into a float32's range
    } else {
      const T largest = to == DType::Float32 ? static_cast<T>(std::numeric_limits<float>::max())
                                             : std::numeric_limits<T>::max();
      const T* values = reinterpret_cast<const T*>(array.data);
      const int64_t count = array.rows * array.row_elements;
      if ((std::is_same_v<T, float> || to != DType::Float32) && all_finite(values, count)) return -1;
      constexpr int64_t block = 1024;  // looked at as a whole first, which vectorises
      for (int64_t begin = 0; begin < count; begin += block) {
        const int64_t end = std::min(count, begin + block);
        int wrong = 0;
        for (int64_t i = begin; i < end; ++i) wrong |= !(std::fabs(values[i]) <= largest);
        if (!wrong) continue;
        for (int64_t i = begin; i < end; ++i)
          if (!(std::fabs(values[i]) <= largest)) return i;
      }
      return -1;
    }
  });
}

int64_t first_outside(const SampleArray& array, int64_t low, int64_t high) {
  return with_sample(array.type, [&](auto tag) -> int64_t {
    using T = typename decltype(tag)::type;
    const T* values = reinterpret_cast<const T*>(array.data);
    for (int64_t i = 0; i < array.rows * array.row_elements; ++i) {
      if constexpr (std::is_same_v<T, uint64_t>) {
        const bool above = high <= 0 || values[i] >= static_cast<uint64_t>(high);
        if (above || (low > 0 && values[i] < static_cast<uint64_t>(low))) return i;
      } else if constexpr (std::is_floating_point_v<T>) {
        if (!(values[i] >= static_cast<T>(low) && values[i] < static_cast<T>(high))) return i;
      } else {
        const int64_t value = static_cast<int64_t>(values[i]);
        if (value < low || value >= high) return i;
      }
    }
    return -1;
  });
}

}  // namespace bpcore
