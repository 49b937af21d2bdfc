#include "bindings/bindings.h"
#include "core/error.h"

namespace bpcore::bindings {

py::dtype numpy_dtype(DType dtype) { return py::dtype(name_of(dtype)); }

DType dtype_of(const py::array& array) {
  for (DType dtype : {DType::Float32, DType::Float64, DType::Int64, DType::Bool})
    if (array.dtype().equal(numpy_dtype(dtype))) return dtype;
  throw TypeError(concat("array: dtype must be float32, float64, int64 or bool, not ",
                         py::str(array.dtype()).cast<std::string>()));
}

SampleArray samples_of(const py::array& array) {
  expect_contiguous("array", array);
  if (array.ndim() == 0) throw ValueError("array: samples need at least one axis");
  static constexpr std::pair<const char*, SampleType> types[] = {
      {"bool", SampleType::Bool},       {"int8", SampleType::Int8},      {"int16", SampleType::Int16},
      {"int32", SampleType::Int32},     {"int64", SampleType::Int64},    {"uint8", SampleType::UInt8},
      {"uint16", SampleType::UInt16},   {"uint32", SampleType::UInt32},  {"uint64", SampleType::UInt64},
      {"float32", SampleType::Float32}, {"float64", SampleType::Float64}};
  const int64_t rows = array.shape(0);
  int64_t row_elements = 1;
  for (py::ssize_t axis = 1; axis < array.ndim(); ++axis) row_elements *= array.shape(axis);
  for (const auto& [name, type] : types)
    if (array.dtype().equal(py::dtype(name)))
      return {static_cast<const char*>(array.data()), type, rows, row_elements};
  throw TypeError(
      concat("array: dtype ", py::str(array.dtype()).cast<std::string>(), " is not a real number type"));
}

py::tuple tuple_of(const Shape& shape) { return py::tuple(py::cast(shape.to_vector())); }

py::array empty_array(DType dtype, const Shape& shape) {
  return py::array(numpy_dtype(dtype), shape.to_vector());
}

py::array view_of(char* data, DType dtype, const Shape& shape, py::handle owner) {
  return py::array(numpy_dtype(dtype), shape.to_vector(), data, owner);
}

void expect_contiguous(const char* what, const py::array& array) {
  constexpr int aligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_, wanted = py::array::c_style | aligned;
  if ((array.flags() & wanted) != wanted)
    throw ValueError(concat(what, ": the array must be C-contiguous and aligned"));
}

}  // namespace bpcore::bindings
