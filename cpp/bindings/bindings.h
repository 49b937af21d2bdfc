// What the parts of the module share. Bindings translate types and errors; they hold no logic.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/shape.h"
#include "training/rows.h"

namespace bpcore::bindings {

namespace py = pybind11;

void register_graph(py::module_& module);
void register_plan(py::module_& module);
void register_random(py::module_& module);
void register_runtime(py::module_& module);
void register_store(py::module_& module);
void register_training(py::module_& module);

// Arrays in and out.
py::dtype numpy_dtype(DType dtype);
DType dtype_of(const py::array& array);          // throws TypeError for a dtype that the core does not have
SampleArray samples_of(const py::array& array);  // throws TypeError, ValueError
py::tuple tuple_of(const Shape& shape);
py::array empty_array(DType dtype, const Shape& shape);
// A writable view of memory that `owner` keeps alive.
py::array view_of(char* data, DType dtype, const Shape& shape, py::handle owner);
void expect_contiguous(const char* what, const py::array& array);  // throws ValueError

}  // namespace bpcore::bindings
