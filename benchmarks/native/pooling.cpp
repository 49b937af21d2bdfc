// The max-pooling of the networks in benchmarks/peers/layered_networks.py, one core, as share of a copy's
// bandwidth.
#include <string>

#include "core/error.h"
#include "op_call.h"
#include "suites.h"

namespace bpcore::benchmarks {

namespace {

struct Layer {
  const char* network;
  int64_t images, size, channels;
};

constexpr Layer layers[] = {{"CNN", 64, 24, 64}, {"LeNet", 32, 24, 8}, {"LeNet", 32, 8, 16}};

Value pooled(Value x) {
  return apply("max_pool2d", {x},
               {{"window", std::vector<int64_t>{2, 2}},
                {"strides", std::vector<int64_t>{2, 2}},
                {"padding", std::vector<int64_t>{0, 0, 0, 0}},
                {"dilation", std::vector<int64_t>{1, 1}}});
}

}  // namespace

void add_pooling_benchmarks() {
  for (const auto& [network, images, size, channels] : layers) {
    const Shape shape{images, size, size, channels};
    const std::string of = concat("/", network, "/", size, "x", size, "x", channels, "/batch:", images);
    add_against_copy("pooling/forward" + of,
                     [shape](Graph& graph) { return pooled(float_input(graph, shape)); });
    add_against_copy("pooling/input gradient" + of, [shape](Graph& graph) {
      const Value x = float_input(graph, shape);
      return derivative(pooled(x), x);
    });
  }
}

}  // namespace bpcore::benchmarks
