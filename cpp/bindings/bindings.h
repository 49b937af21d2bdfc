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

// Longer work lets other Python threads run meanwhile; for shorter, getting the lock back may take longer.
constexpr double nanoseconds_without_lock = 20e3;

// What work on data takes, roughly, in nanoseconds.
constexpr double per_element_seen = 0.2, per_byte_moved = 0.1, per_row_placed = 4, per_number_drawn = 10;

// work(), which takes about so long and touches no Python object. Those whose memory it reads are kept alive
// by the call's arguments, or by what holds them. Other threads may write to that memory meanwhile: each
// element is then seen before or after, and an index that was in range may no longer be. So it is at any time
// between two calls; kernels look at every index again where they use it.
template <class Work>
auto without_lock(double nanoseconds, Work&& work) {
  if (nanoseconds < nanoseconds_without_lock) return work();
  const py::gil_scoped_release release;
  return work();
}

}  // namespace bpcore::bindings
