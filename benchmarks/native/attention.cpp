// Causal attention of the GPT in benchmarks/peers/layered_networks.py and of longer windows, one core, as
// share of the FMA peak. Only products with keys that a query sees count: two of them forward; five back,
// since the weights are computed again.
#include <cmath>
#include <string>

#include "core/error.h"
#include "op_call.h"
#include "suites.h"

namespace bpcore::benchmarks {

namespace {

struct Layer {
  int64_t batch, time, heads, width;  // of a head

  double product_flops() const {
    return static_cast<double>(batch * heads * width) * static_cast<double>(time * (time + 1));
  }
};

constexpr Layer layers[] = {{12, 64, 4, 32}, {2, 512, 4, 64}};

struct Attention {
  Value qkv, output;

  Attention(Graph& graph, const Layer& l)
      : qkv(float_input(graph, {l.batch, l.time, 3 * l.heads * l.width})),
        output(part(apply("attention", {qkv},
                          {{"heads", l.heads},
                           {"masked", false},
                           {"lengths", false},
                           {"causal", true},
                           {"scale", 1 / std::sqrt(static_cast<double>(l.width))},
                           {"rate", 0.0},
                           {"stream", int64_t{0}}}),
                    0, {l.batch, l.time, l.heads, l.width})) {}
};

}  // namespace

void add_attention_benchmarks() {
  for (const Layer& layer : layers) {
    const std::string of =
        concat("/time:", layer.time, "/heads:", layer.heads, "/width:", layer.width, "/batch:", layer.batch);
    add_against_peak("attention/forward" + of, 2 * layer.product_flops(), [layer](Graph& graph) {
      const Attention made(graph, layer);
      return found(graph, "attention");
    });
    add_against_peak("attention/input gradient" + of, 5 * layer.product_flops(), [layer](Graph& graph) {
      const Attention made(graph, layer);
      return derivative(made.output, made.qkv);
    });
  }
}

}  // namespace bpcore::benchmarks
