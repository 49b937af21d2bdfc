#include "bindings/bindings.h"
#include "core/error.h"
#include "core/rng.h"

namespace bpcore::bindings {

namespace {

template <class Draw>
py::array_t<double> draw_array(const std::vector<int64_t>& sizes, Draw draw) {
  const Shape shape(sizes);
  py::array_t<double> result(shape.to_vector());
  double* out = result.mutable_data();
  const int64_t count = shape.elements();
  without_lock(per_number_drawn * static_cast<double>(count), [&] {
    for (int64_t i = 0; i < count; ++i) out[i] = draw(static_cast<uint64_t>(i));
  });
  return result;
}

}  // namespace

void register_random(py::module_& module) {
  module.def(
      "random_uniform",
      [](const std::vector<int64_t>& shape, uint64_t seed, uint64_t stream) {
        return draw_array(shape, [random = Philox{seed, stream}](uint64_t i) { return random.uniform(i); });
      },
      py::arg("shape"), py::arg("seed"), py::arg("stream"));
  module.def(
      "random_normal",
      [](const std::vector<int64_t>& shape, uint64_t seed, uint64_t stream) {
        return draw_array(shape, [random = Philox{seed, stream}](uint64_t i) { return random.normal(i); });
      },
      py::arg("shape"), py::arg("seed"), py::arg("stream"));
  module.def(
      "permutation",
      [](int64_t count, uint64_t seed, uint64_t epoch) {
        if (count < 0) throw ValueError(concat("permutation: n must not be negative, got ", count));
        py::array_t<int64_t> order(count);
        int64_t* to = order.mutable_data();
        without_lock(per_row_placed * static_cast<double>(count),
                     [&] { permutation(count, seed, epoch, to); });
        return order;
      },
      py::arg("n"), py::arg("seed"), py::arg("epoch"));
}

}  // namespace bpcore::bindings
