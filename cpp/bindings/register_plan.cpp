#include <algorithm>

#include "bindings/bindings.h"
#include "core/error.h"
#include "graph/executor.h"

namespace bpcore::bindings {

namespace {

std::shared_ptr<Plan> make_plan(const Graph& graph, const std::vector<NodeId>& outputs,
                                const std::vector<std::pair<int64_t, NodeId>>& gradients, bool training,
                                bool by_rows) {
  std::vector<GradientRoot> roots;
  for (const auto& [slot, node] : gradients) roots.push_back({slot, node});
  return std::make_shared<Plan>(graph, outputs, roots, training, by_rows);
}

py::list run_plan(const Plan& plan, Store* store, const std::vector<py::array>& inputs, int threads,
                  uint64_t seed, uint64_t step) {
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
    evaluate(plan, store, from, threads, {seed, step}, to);
  }
  return results;
}

// An evaluator and what its input must be.
class BoundEvaluator {
 public:
  BoundEvaluator(std::shared_ptr<const Plan> plan, std::shared_ptr<Store> store)
      : evaluator_(std::move(plan), std::move(store)),
        input_dtype_(numpy_dtype(evaluator_.plan().inputs()[0].dtype)),
        output_dtype_(numpy_dtype(evaluator_.plan().output_types()[0].dtype)),
        input_shape_(evaluator_.plan().inputs()[0].shape.to_vector()),
        output_shape_(evaluator_.plan().output_types()[0].shape.to_vector()) {}

  // The output, or None for whatever deserves a closer look: an input that is not exactly what was planned
  // for, one with an index out of range or, with `finite`, with NaN or infinity, and a run in another thread.
  py::object call(py::handle x, bool finite) {
    if (!fits(x)) return py::none();
    const auto input = py::reinterpret_borrow<py::array>(x);
    const TensorType& type = evaluator_.plan().inputs()[0];
    if (finite && is_float(type.dtype)) {
      const SampleType kind = type.dtype == DType::Float32 ? SampleType::Float32 : SampleType::Float64;
      const SampleArray values{static_cast<const char*>(input.data()), kind, type.shape.elements(), 1};
      const double looking = per_element_seen * static_cast<double>(values.rows);
      if (without_lock(looking, [&] { return first_not_finite(values, type.dtype); }) >= 0) return py::none();
    }
    py::array output(output_dtype_, output_shape_);
    char* to = static_cast<char*>(output.mutable_data());
    const char* from = static_cast<const char*>(input.data());
    if (!without_lock(evaluator_.plan().cost(), [&] { return evaluator_.run(from, to); })) return py::none();
    return output;
  }

 private:
  bool fits(py::handle x) const {
    if (Py_TYPE(x.ptr()) != py::detail::npy_api::get().PyArray_Type_) return false;
    const auto* array = py::detail::array_proxy(x.ptr());
    constexpr int aligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_, wanted = py::array::c_style | aligned;
    return array->descr == input_dtype_.ptr() && (array->flags & wanted) == wanted &&
           std::equal(input_shape_.begin(), input_shape_.end(), array->dimensions,
                      array->dimensions + array->nd);
  }

  Evaluator evaluator_;
  const py::dtype input_dtype_, output_dtype_;
  const std::vector<int64_t> input_shape_, output_shape_;
};

}  // namespace

void register_plan(py::module_& module) {
  py::class_<Plan, std::shared_ptr<Plan>>(module, "Plan")
      .def(py::init(&make_plan), py::arg("graph"), py::arg("outputs"),
           py::arg("gradients") = std::vector<std::pair<int64_t, NodeId>>{}, py::arg("training") = false,
           py::arg("by_rows") = false)
      .def("run", &run_plan, py::arg("store").none(true), py::arg("inputs"), py::arg("threads") = 1,
           py::arg("seed") = 0, py::arg("step") = 0)
      .def_property_readonly("cost", &Plan::cost)
      .def_property_readonly("inputs",
                             [](const Plan& plan) {
                               py::list shapes;
                               for (const TensorType& type : plan.inputs())
                                 shapes.append(tuple_of(type.shape));
                               return shapes;
                             })
      .def_property_readonly("arena_bytes", &Plan::arena_bytes)
      .def_property_readonly("scratch_bytes", &Plan::scratch_bytes)
      .def_property_readonly("live_bytes", &Plan::live_bytes)
      .def("threads", &Plan::threads, py::arg("available"), py::arg("beside") = 0.0)
      .def_property_readonly("instructions",
                             [](const Plan& plan) {
                               std::vector<std::string> lines;
                               for (const Instruction& instruction : plan.instructions())
                                 lines.push_back(instruction.text);
                               return lines;
                             })
      .def_property_readonly("row_gradients",
                             [](const Plan& plan) {
                               std::vector<int64_t> slots;
                               for (const RowGradient& each : plan.row_gradients())
                                 slots.push_back(each.slot);
                               return slots;
                             })
      .def_property_readonly("index_bounds", [](const Plan& plan) {
        std::vector<std::tuple<int64_t, int64_t, int64_t, std::string>> bounds;
        for (const IndexBound& bound : plan.index_bounds())
          bounds.emplace_back(bound.input, 0, bound.bound, bound.op);
        return bounds;
      });

  py::class_<BoundEvaluator>(module, "Evaluator")
      .def(py::init<std::shared_ptr<const Plan>, std::shared_ptr<Store>>(), py::arg("plan"),
           py::arg("store").none(true))
      .def("__call__", &BoundEvaluator::call, py::arg("x"), py::arg("finite"));
}

}  // namespace bpcore::bindings
