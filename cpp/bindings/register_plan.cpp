#include <algorithm>
#include <array>

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

// Longer runs let other Python threads run meanwhile; for shorter ones, getting the lock back may take
// longer.
constexpr double nanoseconds_without_lock = 20e3;

// An evaluator and what its arrays are.
class BoundEvaluator {
 public:
  static constexpr size_t most_arrays = 8;  // inputs, and outputs

  // `convert`: the plan computes in one float dtype whatever floats are given.
  BoundEvaluator(std::shared_ptr<const Plan> plan, std::shared_ptr<Store> store, bool convert)
      : evaluator_(std::move(plan), std::move(store)),
        inputs_(arrays_of(evaluator_.plan().inputs())),
        outputs_(arrays_of(evaluator_.plan().output_types())),
        convert_(convert) {
    if (std::max(inputs_.size(), outputs_.size()) > most_arrays || outputs_.empty())
      throw ValueError(concat("evaluator: a plan of ", inputs_.size(), " inputs and ", outputs_.size(),
                              " outputs; it may have up to ", most_arrays));
  }

  // The output, or a tuple of several. None for whatever deserves a closer look: inputs that are not exactly
  // what was planned for, or floats to be converted; an index out of range; NaN or infinity with `finite` or
  // where floats are converted; and a run in another thread.
  py::object call(const py::tuple& inputs, bool finite) {
    if (inputs.size() != inputs_.size()) return py::none();
    std::array<py::object, most_arrays> converted, made;
    std::array<const char*, most_arrays> from{};
    std::array<char*, most_arrays> to{};
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const py::handle x = PyTuple_GET_ITEM(inputs.ptr(), static_cast<py::ssize_t>(i));
      const Array& wanted = inputs_[i];
      const Fit fit = fit_of(x, wanted);
      if (fit == Fit::None) return py::none();
      from[i] = static_cast<const char*>(py::detail::array_proxy(x.ptr())->data);
      if (!is_float(wanted.type.dtype) || !(finite || fit == Fit::Converted)) continue;
      const SampleType kind = (wanted.type.dtype == DType::Float32) == (fit == Fit::Exact)
                                  ? SampleType::Float32
                                  : SampleType::Float64;
      const SampleArray values{from[i], kind, 1, wanted.type.shape.elements()};
      if (first_not_finite(values, wanted.type.dtype) >= 0) return py::none();
      if (fit == Fit::Exact) continue;
      py::array target(wanted.dtype, wanted.shape);
      constexpr int64_t whole = 0;
      gather_function(kind, wanted.type.dtype)(values, &whole, 1, target.mutable_data());
      from[i] = static_cast<const char*>(target.data());
      converted[i] = std::move(target);
    }
    for (size_t i = 0; i < outputs_.size(); ++i) {
      py::array target(outputs_[i].dtype, outputs_[i].shape);
      to[i] = static_cast<char*>(target.mutable_data());
      made[i] = std::move(target);
    }
    bool good = false;
    if (evaluator_.plan().cost() < nanoseconds_without_lock) {
      good = evaluator_.run(from.data(), to.data());
    } else {
      const py::gil_scoped_release release;
      good = evaluator_.run(from.data(), to.data());
    }
    if (!good) return py::none();
    if (outputs_.size() == 1) return std::move(made[0]);
    py::tuple all(outputs_.size());
    for (size_t i = 0; i < outputs_.size(); ++i) all[i] = std::move(made[i]);
    return all;
  }

 private:
  struct Array {
    TensorType type;
    py::dtype dtype;
    std::vector<int64_t> shape;
  };
  static std::vector<Array> arrays_of(const std::vector<TensorType>& types) {
    std::vector<Array> arrays;
    for (const TensorType& type : types)
      arrays.push_back({type, numpy_dtype(type.dtype), type.shape.to_vector()});
    return arrays;
  }

  enum class Fit { None, Exact, Converted };
  Fit fit_of(py::handle x, const Array& wanted) const {
    if (Py_TYPE(x.ptr()) != py::detail::npy_api::get().PyArray_Type_) return Fit::None;
    const auto* array = py::detail::array_proxy(x.ptr());
    constexpr int aligned = py::detail::npy_api::NPY_ARRAY_ALIGNED_, flags = py::array::c_style | aligned;
    if ((array->flags & flags) != flags || static_cast<size_t>(array->nd) != wanted.shape.size() ||
        !std::equal(wanted.shape.begin(), wanted.shape.end(), array->dimensions))
      return Fit::None;
    if (array->descr == wanted.dtype.ptr()) return Fit::Exact;
    const bool other = (wanted.type.dtype == DType::Float32 && array->descr == float64_.ptr()) ||
                       (wanted.type.dtype == DType::Float64 && array->descr == float32_.ptr());
    return convert_ && other ? Fit::Converted : Fit::None;
  }

  Evaluator evaluator_;
  const std::vector<Array> inputs_, outputs_;
  const bool convert_;
  const py::dtype float32_ = numpy_dtype(DType::Float32), float64_ = numpy_dtype(DType::Float64);
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
      .def(py::init<std::shared_ptr<const Plan>, std::shared_ptr<Store>, bool>(), py::arg("plan"),
           py::arg("store").none(true), py::arg("convert"))
      .def_property_readonly_static("most_arrays",
                                    [](const py::object&) { return BoundEvaluator::most_arrays; })
      .def("__call__", &BoundEvaluator::call, py::arg("inputs"), py::arg("finite"));
}

}  // namespace bpcore::bindings
