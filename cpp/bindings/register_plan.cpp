#include "bindings/bindings.h"
#include "core/error.h"
#include "graph/executor.h"

namespace bpcore::bindings {

namespace {

std::shared_ptr<Plan> make_plan(const Graph& graph, const std::vector<NodeId>& outputs,
                                const std::vector<std::pair<int64_t, NodeId>>& gradients, bool training) {
  std::vector<GradientRoot> roots;
  for (const auto& [slot, node] : gradients) roots.push_back({slot, node});
  return std::make_shared<Plan>(graph, outputs, roots, training);
}

py::list run_plan(const Plan& plan, Store* store, const std::vector<py::array>& inputs, int threads) {
  if (inputs.size() != plan.inputs().size())
    throw ValueError(concat("plan: ", inputs.size(), " inputs given, it has ", plan.inputs().size()));
  std::vector<const char*> from;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorType& type = plan.inputs()[i];
    const Shape shape(std::vector<int64_t>(inputs[i].shape(), inputs[i].shape() + inputs[i].ndim()));
    expect_contiguous("plan", inputs[i]);
    if (shape != type.shape || !inputs[i].dtype().equal(numpy_dtype(type.dtype)))
      throw ValueError(concat("plan: input ", i, " must have shape ", type.shape, " and dtype ",
                              name_of(type.dtype), ", got shape ", shape, " and dtype ",
                              py::str(inputs[i].dtype()).cast<std::string>()));
    from.push_back(static_cast<const char*>(inputs[i].data()));
  }
  py::list results;
  std::vector<void*> to;
  for (const TensorType& type : plan.output_types()) {
    py::array result = empty_array(type.dtype, type.shape);
    to.push_back(result.mutable_data());
    results.append(std::move(result));
  }
  {
    const py::gil_scoped_release release;
    evaluate(plan, store, from, threads, to);
  }
  return results;
}

}  // namespace

void register_plan(py::module_& module) {
  py::class_<Plan, std::shared_ptr<Plan>>(module, "Plan")
      .def(py::init(&make_plan), py::arg("graph"), py::arg("outputs"),
           py::arg("gradients") = std::vector<std::pair<int64_t, NodeId>>{}, py::arg("training") = false)
      .def("run", &run_plan, py::arg("store").none(true), py::arg("inputs"), py::arg("threads") = 1)
      .def_property_readonly("arena_bytes", &Plan::arena_bytes)
      .def_property_readonly("live_bytes", &Plan::live_bytes)
      .def("threads", &Plan::threads, py::arg("available"))
      .def_property_readonly("instructions",
                             [](const Plan& plan) {
                               std::vector<std::string> lines;
                               for (const Instruction& instruction : plan.instructions())
                                 lines.push_back(instruction.text);
                               return lines;
                             })
      .def_property_readonly("index_bounds", [](const Plan& plan) {
        std::vector<std::tuple<int64_t, int64_t, int64_t, std::string>> bounds;
        for (const IndexBound& bound : plan.index_bounds())
          bounds.emplace_back(bound.input, 0, bound.bound, bound.op);
        return bounds;
      });
}

}  // namespace bpcore::bindings
