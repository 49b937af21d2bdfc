#include "bindings/bindings.h"
#include "core/parallel.h"

namespace bpcore::bindings {

namespace {

double looking_at(const SampleArray& samples) {
  return per_element_seen * static_cast<double>(samples.rows) * static_cast<double>(samples.row_elements);
}

}  // namespace

void register_runtime(py::module_& module) {
  module.def("isa", [] { return BPCORE_ISA_NAME; });
  module.def("max_threads", &max_threads);
  module.def("openmp", &has_openmp);
  module.def(
      "first_not_finite",
      [](const py::array& array, const std::string& dtype) {
        const SampleArray samples = samples_of(array);
        const DType to = dtype_from_name(dtype);
        return without_lock(looking_at(samples), [&] { return first_not_finite(samples, to); });
      },
      py::arg("array"), py::arg("dtype"));
  module.def(
      "first_outside",
      [](const py::array& array, int64_t low, int64_t high) {
        const SampleArray samples = samples_of(array);
        return without_lock(looking_at(samples), [&] { return first_outside(samples, low, high); });
      },
      py::arg("array"), py::arg("low"), py::arg("high"));
}

}  // namespace bpcore::bindings
