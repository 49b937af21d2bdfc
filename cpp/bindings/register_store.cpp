#include "bindings/bindings.h"
#include "graph/store.h"

namespace bpcore::bindings {

namespace {

using Tensors = std::vector<std::pair<std::string, std::vector<int64_t>>>;

std::vector<std::pair<std::string, Shape>> with_shapes(const Tensors& tensors) {
  std::vector<std::pair<std::string, Shape>> result;
  for (const auto& [name, shape] : tensors) result.emplace_back(name, Shape(shape));
  return result;
}

py::array slot_view(py::handle owner, const FlatLayout& layout, const Buffer& buffer, int64_t number) {
  const Slot& slot = layout.slot(number);
  return view_of(layout.address(buffer, slot), layout.dtype(), slot.shape, owner);
}

py::array flat_view(py::handle owner, const FlatLayout& layout, const Buffer& buffer) {
  return view_of(buffer.data(), layout.dtype(), Shape{layout.elements()}, owner);
}

}  // namespace

void register_store(py::module_& module) {
  py::class_<Store, std::shared_ptr<Store>>(module, "Store")
      .def(py::init([](const Tensors& parameters, const Tensors& states, const std::string& dtype) {
             const auto sized_parameters = with_shapes(parameters), sized_states = with_shapes(states);
             const DType known = dtype_from_name(dtype);
             double bytes = 0;
             for (const auto& [name, shape] : sized_parameters)
               bytes += static_cast<double>(shape.elements()) * static_cast<double>(size_of(known));
             return without_lock(per_byte_moved * bytes, [&] {
               return std::make_shared<Store>(sized_parameters, sized_states, known);
             });
           }),
           py::arg("parameters"), py::arg("states"), py::arg("dtype"))
      .def_property_readonly("dtype",
                             [](const Store& store) { return name_of(store.parameter_layout.dtype()); })
      .def_property_readonly("flat_parameters",
                             [](py::object self) {
                               const auto& store = self.cast<const Store&>();
                               return flat_view(self, store.parameter_layout, store.parameters);
                             })
      .def_property_readonly("flat_states",
                             [](py::object self) {
                               const auto& store = self.cast<const Store&>();
                               return flat_view(self, store.state_layout, store.states);
                             })
      .def("parameter",
           [](py::object self, int64_t slot) {
             const auto& store = self.cast<const Store&>();
             return slot_view(self, store.parameter_layout, store.parameters, slot);
           })
      .def("state", [](py::object self, int64_t slot) {
        const auto& store = self.cast<const Store&>();
        return slot_view(self, store.state_layout, store.states, slot);
      });
}

}  // namespace bpcore::bindings
