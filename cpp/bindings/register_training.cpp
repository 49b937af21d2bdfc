#include <cstring>
#include <map>

#include "bindings/bindings.h"
#include "core/error.h"
#include "training/session.h"

namespace bpcore::bindings {

namespace {

py::array optimizer_view(py::object self, const Buffer& buffer, int64_t slot) {
  const FlatLayout& layout = self.cast<const Update&>().store()->parameter_layout;
  if (slot < 0) return view_of(buffer.data(), layout.dtype(), Shape{layout.elements()}, self);
  return view_of(layout.address(buffer, layout.slot(slot)), layout.dtype(), layout.slot(slot).shape, self);
}

const Buffer& optimizer_slot(const Update& update, const std::string& name) {
  for (const auto& [known, buffer] : update.optimizer().slots())
    if (known == name) return buffer;
  if (name == "average" && update.has_average()) return update.average();
  throw ValueError(concat("optimizer: there is no slot ", name));
}

Constraint::Kind kind_of(const std::string& name) {
  if (name == "max_norm") return Constraint::Kind::MaxNorm;
  if (name == "non_negative") return Constraint::Kind::NonNegative;
  throw ValueError(concat("optimizer: there is no constraint ", name));
}

std::shared_ptr<Update> make_update(
    const std::string& name, std::vector<Hyper> groups, std::shared_ptr<Store> store,
    std::vector<int64_t> group_of_slot, std::vector<int64_t> layer_of_slot, double clip_value,
    double clip_norm, double clip_layer_norm, bool check_gradients, double average,
    const std::vector<std::tuple<std::string, int64_t, double>>& constraints) {
  UpdateOptions options;
  options.groups = std::move(groups);
  options.group_of_slot = std::move(group_of_slot);
  options.layer_of_slot = std::move(layer_of_slot);
  options.clip_value = clip_value;
  options.clip_norm = clip_norm;
  options.clip_layer_norm = clip_layer_norm;
  options.check_gradients = check_gradients;
  options.average = average;
  for (const auto& [kind, slot, most] : constraints)
    options.constraints.push_back({kind_of(kind), slot, most});
  const auto slot_bytes = static_cast<double>(store->parameter_layout.bytes());
  return without_lock(per_byte_moved * slot_bytes,
                      [&] { return std::make_shared<Update>(std::move(store), name, std::move(options)); });
}

// An array, or of ragged rows (indptr, array), of their places (indptr, None).
SampleArray any_samples_of(const py::object& given) {
  if (!py::isinstance<py::tuple>(given)) return samples_of(given.cast<py::array>());
  const auto [indptr, array] = given.cast<std::pair<py::array, py::object>>();
  expect_contiguous("session", indptr);
  if (indptr.ndim() != 1 || indptr.shape(0) < 1 || dtype_of(indptr) != DType::Int64)
    throw ValueError("session: indptr must be int64 of shape (rows + 1,)");
  const int64_t rows = indptr.shape(0) - 1;
  const auto* places = static_cast<const int64_t*>(indptr.data());
  if (array.is_none()) return {nullptr, SampleType::Int64, rows, 0, places};
  const SampleArray samples = samples_of(array.cast<py::array>());
  return {samples.data, samples.type, rows, samples.rows * samples.row_elements, places};
}

// A session with the arrays that it reads. Its owner sees to it that no two threads use it at once: most of
// what it does is done without the lock.
struct BoundSession {
  std::vector<py::object> arrays;
  Session session;
};

std::unique_ptr<BoundSession> make_session(std::shared_ptr<const Plan> plan, std::shared_ptr<const Plan> tail,
                                           std::shared_ptr<const Plan> watching, std::shared_ptr<Store> store,
                                           std::shared_ptr<Update> update, std::vector<py::object> arrays,
                                           const SessionOptions& options) {
  std::vector<SampleArray> samples;
  for (const py::object& array : arrays) samples.push_back(any_samples_of(array));
  const auto rows = static_cast<double>(samples.empty() ? 0 : samples.front().rows);
  const auto make = [&] {  // throws with the lock held again: then the arrays go
    return without_lock(per_row_placed * rows, [&] {
      return Session(std::move(plan), std::move(tail), std::move(watching), std::move(store),
                     std::move(update), std::move(samples), options);
    });
  };
  return std::unique_ptr<BoundSession>(new BoundSession{std::move(arrays), make()});
}

py::array_t<double> doubles(const std::vector<double>& values) {
  return py::array_t<double>(static_cast<py::ssize_t>(values.size()), values.data());
}

// The rates have shape (steps, groups), or (steps,) for all groups alike.
int64_t run_session(BoundSession& bound, int64_t steps,
                    const py::array_t<double, py::array::c_style | py::array::forcecast>& rates) {
  const auto groups = static_cast<py::ssize_t>(bound.session.groups());
  const bool fits = rates.ndim() == 2 ? rates.shape(1) == groups : rates.ndim() == 1 && groups == 1;
  if (!fits || rates.shape(0) < steps)
    throw ValueError(concat("session: ", steps, " steps need as many rates for each of ", groups, " groups"));
  const py::gil_scoped_release release;
  return bound.session.run(steps, rates.data());
}

// A copy of what is collected of this epoch, (samples so far, elements of a row).
py::array collected_rows(const BoundSession& bound, int64_t output) {
  const Outputs::Rows rows = bound.session.outputs().collected(output);
  py::array copy = empty_array(rows.dtype, Shape{rows.rows, rows.row_elements});
  void* to = copy.mutable_data();
  const auto bytes = static_cast<size_t>(copy.nbytes());
  without_lock(per_byte_moved * static_cast<double>(bytes), [&] { std::memcpy(to, rows.data, bytes); });
  return copy;
}

// `collected`: for each collected output what collected_rows() gave.
void seek_session(BoundSession& bound, int64_t position, const std::vector<double>& totals, int64_t skipped,
                  const std::map<int64_t, py::array>& collected) {
  std::map<int64_t, Outputs::Rows> known;
  double bytes = 0;
  for (const auto& [output, rows] : collected) {
    expect_contiguous("session", rows);
    if (rows.ndim() != 2) throw ValueError(concat("session: these are no rows of output ", output));
    known[output] = {dtype_of(rows), static_cast<const char*>(rows.data()), rows.shape(0), rows.shape(1)};
    bytes += static_cast<double>(rows.nbytes());
  }
  without_lock(per_byte_moved * bytes, [&] { bound.session.seek(position, totals, skipped, known); });
}

}  // namespace

void register_training(py::module_& module) {
  py::class_<Update, std::shared_ptr<Update>>(module, "Optimizer")
      .def(py::init(&make_update), py::arg("name"), py::arg("groups"), py::arg("store"),
           py::arg("group_of_slot") = std::vector<int64_t>{},
           py::arg("layer_of_slot") = std::vector<int64_t>{}, py::arg("clip_value") = 0.0,
           py::arg("clip_norm") = 0.0, py::arg("clip_layer_norm") = 0.0, py::arg("check_gradients") = false,
           py::arg("average") = 0.0,
           py::arg("constraints") = std::vector<std::tuple<std::string, int64_t, double>>{})
      .def_property_readonly(
          "slots",
          [](py::object self) {
            py::dict slots;
            for (const auto& [name, buffer] : self.cast<const Update&>().optimizer().slots())
              slots[py::str(name)] = optimizer_view(self, buffer, -1);
            return slots;
          })
      .def("slot",
           [](py::object self, const std::string& name, int64_t slot) {
             return optimizer_view(self, optimizer_slot(self.cast<const Update&>(), name), slot);
           })
      .def_property_readonly(
          "flat_gradients",
          [](py::object self) { return optimizer_view(self, self.cast<const Update&>().gradients(), -1); })
      .def("gradient",
           [](py::object self, int64_t slot) {
             return optimizer_view(self, self.cast<const Update&>().gradients(), slot);
           })
      .def_property(
          "steps", [](const Update& update) { return update.optimizer().steps; },
          [](Update& update, int64_t steps) { update.optimizer().steps = steps; })
      .def_property_readonly("has_average", &Update::has_average)
      .def_property_readonly("takes_rows", &Update::takes_rows);

  py::class_<BoundSession>(module, "Session")
      .def(py::init([](std::shared_ptr<const Plan> plan, std::shared_ptr<const Plan> tail,
                       std::shared_ptr<Store> store, std::shared_ptr<Update> update,
                       std::vector<py::object> arrays, int64_t batch_size, uint64_t seed, int threads,
                       int64_t accumulate, bool skip, std::shared_ptr<const Plan> watching,
                       int64_t watch_every, std::vector<int64_t> rows, std::vector<int64_t> collect,
                       std::vector<std::string> finite_names) {
             return make_session(std::move(plan), std::move(tail), std::move(watching), std::move(store),
                                 std::move(update), std::move(arrays),
                                 {batch_size, seed, threads, accumulate, skip, watch_every, std::move(rows),
                                  std::move(collect), std::move(finite_names)});
           }),
           py::arg("plan").none(false), py::arg("tail_plan").none(true), py::arg("store").none(false),
           py::arg("optimizer").none(true), py::arg("arrays"), py::arg("batch_size"), py::arg("seed") = 0,
           py::arg("threads") = 1, py::arg("accumulate") = 1, py::arg("skip") = false,
           py::arg("watching_plan").none(true) = py::none(), py::arg("watch_every") = 0,
           py::arg("rows") = std::vector<int64_t>{}, py::arg("collect") = std::vector<int64_t>{},
           py::arg("finite_names") = std::vector<std::string>{})
      .def(
          "begin_epoch",
          [](BoundSession& bound, uint64_t epoch, bool shuffle) {
            const double rows = shuffle ? static_cast<double>(bound.session.samples()) : 0;
            without_lock(per_row_placed * rows, [&] { bound.session.begin_epoch(epoch, shuffle); });
          },
          py::arg("epoch"), py::arg("shuffle"))
      .def("seek", &seek_session, py::arg("position"), py::arg("totals"), py::arg("skipped"),
           py::arg("collected") = py::dict())
      .def("run", &run_session, py::arg("steps"), py::arg("rates"))
      .def_property_readonly("position", [](const BoundSession& bound) { return bound.session.position(); })
      .def_property_readonly("finished",
                             [](const BoundSession& bound) {
                               return bound.session.position() >= bound.session.steps_per_epoch();
                             })
      .def_property_readonly("steps_per_epoch",
                             [](const BoundSession& bound) { return bound.session.steps_per_epoch(); })
      .def_property_readonly("skipped", [](const BoundSession& bound) { return bound.session.skipped(); })
      .def_property_readonly("wrong_layer",
                             [](const BoundSession& bound) { return bound.session.wrong_layer(); })
      .def_property_readonly("losses",
                             [](const BoundSession& bound) { return doubles(bound.session.losses()); })
      .def_property_readonly("watched",
                             [](const BoundSession& bound) {
                               const auto columns = static_cast<py::ssize_t>(bound.session.watched_values());
                               const std::vector<double>& values = bound.session.watched();
                               const auto size = static_cast<py::ssize_t>(values.size());
                               return py::array_t<double>({columns > 0 ? size / columns : 0, columns},
                                                          values.data());
                             })
      .def("collected", &collected_rows, py::arg("output"))
      .def_property_readonly(
          "totals", [](const BoundSession& bound) { return doubles(bound.session.outputs().totals()); })
      .def_property_readonly(
          "last", [](const BoundSession& bound) { return doubles(bound.session.outputs().last()); });
}

}  // namespace bpcore::bindings
