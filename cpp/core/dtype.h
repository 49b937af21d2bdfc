// Element types of tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace bpcore {

enum class DType : uint8_t { Float32, Float64, Int64, Bool };

// Booleans are stored as one byte, 0 or 1, as NumPy does.
using Bool = uint8_t;

constexpr size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::Float32:
      return 4;
    case DType::Float64:
      return 8;
    case DType::Int64:
      return 8;
    case DType::Bool:
      return 1;
  }
  return 0;
}

constexpr bool is_float(DType dtype) { return dtype == DType::Float32 || dtype == DType::Float64; }

const char* name_of(DType dtype);

// Throws TypeError for a name that is not one of the four.
DType dtype_from_name(const std::string& name);

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::Float32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::Float64;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::Int64;
};
template <>
struct DTypeOf<Bool> {
  static constexpr DType value = DType::Bool;
};

template <class T>
struct TypeTag {
  using type = T;
};

// Calls visitor(TypeTag<T>{}) with the C++ type of a float dtype. Callers have checked that it is one.
template <class Visitor>
auto with_float(DType dtype, Visitor&& visitor) {
  return dtype == DType::Float32 ? visitor(TypeTag<float>{}) : visitor(TypeTag<double>{});
}

// The same for every dtype.
template <class Visitor>
auto with_any(DType dtype, Visitor&& visitor) {
  switch (dtype) {
    case DType::Int64:
      return visitor(TypeTag<int64_t>{});
    case DType::Bool:
      return visitor(TypeTag<Bool>{});
    default:
      return with_float(dtype, visitor);
  }
}

}  // namespace bpcore
