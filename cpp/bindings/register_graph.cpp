#include "bindings/bindings.h"
#include "core/error.h"
#include "graph/autodiff.h"
#include "graph/graph.h"

namespace bpcore::bindings {

namespace {

// bool before int: a Python bool is an int too.
Attributes attributes_of(const py::dict& dict) {
  Attributes attributes;
  for (const auto& [key, value] : dict) {
    const auto name = key.cast<std::string>();
    if (py::isinstance<py::bool_>(value))
      attributes.set(name, value.cast<bool>());
    else if (py::isinstance<py::int_>(value))
      attributes.set(name, value.cast<int64_t>());
    else if (py::isinstance<py::float_>(value))
      attributes.set(name, value.cast<double>());
    else if (py::isinstance<py::str>(value))
      attributes.set(name, value.cast<std::string>());
    else if (py::isinstance<py::list>(value))
      attributes.set(name, value.cast<std::vector<int64_t>>());
    else
      throw TypeError(concat("attribute '", name, "' is of the wrong type"));
  }
  return attributes;
}

TensorType type_of(const std::vector<int64_t>& shape, const std::string& dtype) {
  return {dtype_from_name(dtype), Shape(shape)};
}

}  // namespace

void register_graph(py::module_& module) {
  module.def("op_names", &op_names);
  py::class_<Graph>(module, "Graph")
      .def(py::init<>())
      .def(
          "input",
          [](Graph& graph, const std::vector<int64_t>& shape, const std::string& dtype,
             const std::string& name) { return graph.input(type_of(shape, dtype), name); },
          py::arg("shape"), py::arg("dtype"), py::arg("name") = "")
      .def(
          "parameter",
          [](Graph& graph, int64_t slot, const std::vector<int64_t>& shape, const std::string& dtype,
             const std::string& name) { return graph.parameter(slot, type_of(shape, dtype), name); },
          py::arg("slot"), py::arg("shape"), py::arg("dtype"), py::arg("name"))
      .def(
          "state",
          [](Graph& graph, int64_t slot, const std::vector<int64_t>& shape, const std::string& dtype,
             const std::string& name) { return graph.state(slot, type_of(shape, dtype), name); },
          py::arg("slot"), py::arg("shape"), py::arg("dtype"), py::arg("name"))
      .def(
          "constant",
          [](Graph& graph, const py::array& array) {
            expect_contiguous("constant", array);
            std::vector<int64_t> shape(array.shape(), array.shape() + array.ndim());
            return graph.constant({dtype_of(array), Shape(shape)}, array.data());
          },
          py::arg("array"))
      .def(
          "add",
          [](Graph& graph, const std::string& op, std::vector<NodeId> inputs, const py::dict& attributes) {
            return graph.add(op, std::move(inputs), attributes_of(attributes));
          },
          py::arg("op"), py::arg("inputs"), py::arg("attrs"))
      .def("fresh", &Graph::fresh, py::arg("node"))
      .def("recompute", &Graph::recompute, py::arg("begin"), py::arg("end"))
      .def("keep_rows", &Graph::keep_rows)
      .def("assign_state", &Graph::assign_state, py::arg("state_node"), py::arg("value_node"))
      .def(
          "gradients",
          [](Graph& graph, NodeId output, const std::vector<NodeId>& wrt, std::optional<NodeId> seed) {
            return gradients(graph, output, wrt, seed.value_or(-1));
          },
          py::arg("output"), py::arg("wrt"), py::arg("seed") = py::none())
      .def("decompose",
           [](Graph& graph, NodeId id) {
             const Node& node = graph.node(id);
             if (node.op == nullptr) throw ValueError("decompose: a leaf has no decomposition");
             std::vector<Value> inputs;
             for (NodeId input : node.inputs) inputs.emplace_back(graph, input);
             return node.op->decompose(inputs, node.attributes).id();
           })
      .def("shape", [](const Graph& graph, NodeId id) { return tuple_of(graph.type(id).shape); })
      .def("dtype", [](const Graph& graph, NodeId id) { return name_of(graph.type(id).dtype); })
      .def("op",
           [](const Graph& graph, NodeId id) {
             const Node& node = graph.node(id);
             return node.op == nullptr ? node.name : std::string(node.op->name());
           })
      .def(
          "inputs", [](const Graph& graph, NodeId id) { return graph.node(id).inputs; }, py::arg("node"))
      .def("is_zero", &Graph::is_zero, py::arg("node"))
      .def("__len__", &Graph::size);
}

}  // namespace bpcore::bindings
