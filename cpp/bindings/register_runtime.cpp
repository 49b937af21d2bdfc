#include "bindings/bindings.h"
#include "core/parallel.h"

namespace bpcore::bindings {

void register_runtime(py::module_& module) {
  module.def("isa", [] { return BPCORE_ISA_NAME; });
  module.def("max_threads", &max_threads);
  module.def("openmp", &has_openmp);
  module.def(
      "first_not_finite",
      [](const py::array& array, const std::string& dtype) {
        return first_not_finite(samples_of(array), dtype_from_name(dtype));
      },
      py::arg("array"), py::arg("dtype"));
  module.def(
      "first_outside",
      [](const py::array& array, int64_t low, int64_t high) {
        return first_outside(samples_of(array), low, high);
      },
      py::arg("array"), py::arg("low"), py::arg("high"));
}

}  // namespace bpcore::bindings
