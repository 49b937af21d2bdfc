#include "bindings/bindings.h"
#include "core/error.h"

PYBIND11_MODULE(BPCORE_MODULE_NAME, module) {
  using namespace bpcore;
  namespace py = pybind11;
  module.doc() = "The native core of bpcore. Its interface is described in _core.pyi.";
  py::register_local_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const ValueError& error) {
      py::set_error(PyExc_ValueError, error.what());
    } catch (const TypeError& error) {
      py::set_error(PyExc_TypeError, error.what());
    } catch (const StateError& error) {
      py::set_error(PyExc_RuntimeError, error.what());
    }
  });
  bindings::register_graph(module);
  bindings::register_plan(module);
  bindings::register_store(module);
  bindings::register_training(module);
  bindings::register_random(module);
  bindings::register_runtime(module);
}
