// The convolutions of the networks in benchmarks/peers/layered_networks.py, one core, as share of the FMA
// peak. Multiplications are those of the definition: Winograd's algorithm makes fewer, so it can be above 1.
#include <string>

#include "core/error.h"
#include "op_call.h"
#include "suites.h"

namespace bpcore::benchmarks {

namespace {

struct Layer {
  const char* network;
  int64_t images, size, channels, kernel, filters;

  int64_t outputs() const { return size - kernel + 1; }
  double flops() const {
    return 2.0 * static_cast<double>(images * outputs() * outputs() * kernel * kernel * channels * filters);
  }
  std::string name() const {
    return concat("/", network, "/", kernel, "x", kernel, "x", channels, "x", filters, "/image:", size,
                  "/batch:", images);
  }
};

constexpr Layer layers[] = {
    {"CNN", 64, 28, 1, 3, 32},
    {"CNN", 64, 26, 32, 3, 64},
    {"LeNet", 32, 28, 1, 5, 8},
    {"LeNet", 32, 12, 8, 5, 16},
};

struct Convolution {
  Value x, weight, bias, output;

  Convolution(Graph& graph, const Layer& layer)
      : x(float_input(graph, {layer.images, layer.size, layer.size, layer.channels})),
        weight(float_input(graph, {layer.kernel, layer.kernel, layer.channels, layer.filters})),
        bias(float_input(graph, {layer.filters})),
        output(apply("conv2d", {x, weight, bias},
                     {{"strides", std::vector<int64_t>{1, 1}},
                      {"padding", std::vector<int64_t>{0, 0, 0, 0}},
                      {"dilation", std::vector<int64_t>{1, 1}},
                      {"groups", int64_t{1}},
                      {"activation", std::string("relu")}})) {}
};

}  // namespace

void add_convolution_benchmarks() {
  for (const Layer& layer : layers) {
    const std::string of = layer.name();
    add_against_peak("convolution/forward" + of, layer.flops(),
                     [layer](Graph& graph) { return Convolution(graph, layer).output; });
    if (layer.channels > 1)  // the first layer's input needs no gradient
      add_against_peak("convolution/input gradient" + of, layer.flops(), [layer](Graph& graph) {
        const Convolution made(graph, layer);
        return derivative(made.output, made.x);
      });
    add_against_peak("convolution/weight gradient" + of, layer.flops(), [layer](Graph& graph) {
      const Convolution made(graph, layer);
      return derivative(made.output, made.weight);  // and that by the bias
    });
  }
}

}  // namespace bpcore::benchmarks
