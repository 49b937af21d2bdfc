#include "core/dtype.h"

#include "core/error.h"

namespace bpcore {

const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::Float32:
      return "float32";
    case DType::Float64:
      return "float64";
    case DType::Int64:
      return "int64";
    case DType::Bool:
      return "bool";
  }
  return "unknown";
}

DType dtype_from_name(const std::string& name) {
  for (DType dtype : {DType::Float32, DType::Float64, DType::Int64, DType::Bool})
    if (name == name_of(dtype)) return dtype;
  throw TypeError(concat("dtype must be float32, float64, int64 or bool, not ", name));
}

}  // namespace bpcore
