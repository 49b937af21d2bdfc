#include "bindings/bindings.h"
#include "core/error.h"
#include "training/session.h"

namespace bpcore::bindings {

namespace {

py::array optimizer_view(py::object self, const Buffer& buffer, int64_t slot) {
  const FlatLayout& layout = self.cast<const Update&>().store->parameter_layout;
  if (slot < 0) return view_of(buffer.data(), layout.dtype(), Shape{layout.elements()}, self);
  return view_of(layout.address(buffer, layout.slot(slot)), layout.dtype(), layout.slot(slot).shape, self);
}

const Buffer& optimizer_slot(const Update& update, const std::string& name) {
  for (const auto& [known, buffer] : update.optimizer->slots())
    if (known == name) return buffer;
  throw ValueError(concat("optimizer: there is no slot ", name));
}

// A session with the arrays that it reads.
struct BoundSession {
  std::vector<py::array> arrays;
  Session session;
};

std::unique_ptr<BoundSession> make_session(std::shared_ptr<const Plan> plan, std::shared_ptr<const Plan> tail,
                                           std::shared_ptr<Store> store, std::shared_ptr<Update> update,
                                           std::vector<py::array> arrays, int64_t batch_size, uint64_t seed,
                                           int threads) {
  std::vector<SampleArray> samples;
  for (const py::array& array : arrays) samples.push_back(samples_of(array));
  return std::unique_ptr<BoundSession>(new BoundSession{
      std::move(arrays), Session(std::move(plan), std::move(tail), std::move(store), std::move(update),
                                 std::move(samples), {batch_size, seed, threads})});
}

py::array_t<double> doubles(const std::vector<double>& values) {
  return py::array_t<double>(static_cast<py::ssize_t>(values.size()), values.data());
}

int64_t run_session(BoundSession& bound, int64_t steps, const py::array_t<double>& rates) {
  if (rates.ndim() != 1 || rates.shape(0) < steps)
    throw ValueError(concat("session: ", steps, " steps need as many rates"));
  const py::gil_scoped_release release;
  return bound.session.run(steps, rates.data());
}

}  // namespace

void register_training(py::module_& module) {
  py::class_<Update, std::shared_ptr<Update>>(module, "Optimizer")
      .def(py::init([](const std::string& name, const Hyper& hyper, std::shared_ptr<Store> store) {
             return std::make_shared<Update>(std::move(store), name, hyper);
           }),
           py::arg("name"), py::arg("hyper"), py::arg("store"))
      .def_property_readonly(
          "slots",
          [](py::object self) {
            py::dict slots;
            for (const auto& [name, buffer] : self.cast<const Update&>().optimizer->slots())
              slots[py::str(name)] = optimizer_view(self, buffer, -1);
            return slots;
          })
      .def("slot",
           [](py::object self, const std::string& name, int64_t slot) {
             return optimizer_view(self, optimizer_slot(self.cast<const Update&>(), name), slot);
           })
      .def_property_readonly(
          "flat_gradients",
          [](py::object self) { return optimizer_view(self, self.cast<const Update&>().gradients, -1); })
      .def("gradient",
           [](py::object self, int64_t slot) {
             return optimizer_view(self, self.cast<const Update&>().gradients, slot);
           })
      .def_property(
          "steps", [](const Update& update) { return update.optimizer->steps; },
          [](Update& update, int64_t steps) { update.optimizer->steps = steps; });

  py::class_<BoundSession>(module, "Session")
      .def(py::init(&make_session), py::arg("plan"), py::arg("tail_plan").none(true),
           py::arg("store").none(false), py::arg("optimizer").none(true), py::arg("arrays"),
           py::arg("batch_size"), py::arg("seed") = 0, py::arg("threads") = 1)
      .def(
          "begin_epoch",
          [](BoundSession& bound, uint64_t epoch, bool shuffle) {
            bound.session.begin_epoch(epoch, shuffle);
          },
          py::arg("epoch"), py::arg("shuffle"))
      .def("run", &run_session, py::arg("steps"), py::arg("rates"))
      .def_property_readonly("position", [](const BoundSession& bound) { return bound.session.position(); })
      .def_property_readonly("steps_per_epoch",
                             [](const BoundSession& bound) { return bound.session.steps_per_epoch(); })
      .def_property_readonly("totals",
                             [](const BoundSession& bound) { return doubles(bound.session.totals()); })
      .def_property_readonly("last", [](const BoundSession& bound) { return doubles(bound.session.last()); });
}

}  // namespace bpcore::bindings
