// Normalisation, softmax and cross-entropy in the sizes of the networks in
// benchmarks/peers/layered_networks.py, one core, as share of a copy's bandwidth.
#include <string>

#include "core/error.h"
#include "op_call.h"
#include "suites.h"

namespace bpcore::benchmarks {

namespace {

// Rows and columns: of the GPT's blocks, and of a wider network's.
constexpr int64_t normed[][2] = {{768, 128}, {1024, 1024}};
// Of the GPT's logits, those of its texts, those of ten classes, and a vocabulary's.
constexpr int64_t scored[][2] = {{768, 65}, {3200, 65}, {64, 10}, {256, 8192}};
// Images, size, channels: behind the convolutions of the CNN.
constexpr int64_t images[][3] = {{64, 26, 32}, {64, 24, 64}};

Value normalized(Value x, const char* op) {
  const Shape columns{x.shape().last()};
  std::vector<Value> inputs{x, float_input(x.graph(), columns)};
  if (std::string(op) == "layer_norm") inputs.push_back(float_input(x.graph(), columns));
  return apply(op, inputs, {{"axes", int64_t{1}}, {"eps", 1e-5}});
}

// One of the passes of batch normalisation over x, forward and back.
void add_batch_norm(const Shape& shape, const char* pass) {
  add_against_copy(concat("normalization/", pass, "/", shape[0], "x", shape[1], "x", shape[2], "x", shape[3]),
                   [=](Graph& graph) {
                     const Shape channels{shape.last()};
                     const Value x = float_input(graph, shape), weight = float_input(graph, channels);
                     const Value moments = apply("batch_moments", {x, apply("batch_block_moments", {x})});
                     const Value y = apply("batch_norm", {x, weight, float_input(graph, channels), moments},
                                           {{"eps", 1e-5}});
                     derivative(y, x);
                     return found(graph, pass);
                   });
}

}  // namespace

void add_normalization_benchmarks() {
  for (const auto& [rows, columns] : normed)
    for (const char* op : {"layer_norm", "rms_norm"}) {
      const Shape shape{rows, columns};
      const std::string of = concat("/", op, "/", rows, "x", columns);
      add_against_copy("normalization/forward" + of,
                       [=](Graph& graph) { return normalized(float_input(graph, shape), op); });
      add_against_copy("normalization/input gradient" + of, [=](Graph& graph) {
        const Value x = float_input(graph, shape);
        return derivative(normalized(x, op), x);  // and those by weight and bias
      });
    }
  for (const auto& [count, size, channels] : images)
    for (const char* pass : {"batch_block_moments", "batch_norm", "batch_block_sums", "batch_norm_gradient"})
      add_batch_norm({count, size, size, channels}, pass);
  for (const auto& [rows, classes] : scored) {
    const Shape shape{rows, classes}, labels{rows};
    const std::string of = concat("/", rows, "x", classes);
    for (const char* op : {"softmax", "log_softmax"})
      add_against_copy(concat(op, "/forward", of), [=](Graph& graph) {
        return apply(op, {float_input(graph, shape)}, {{"axis", int64_t{-1}}});
      });
    add_against_copy("cross entropy/forward" + of, [=](Graph& graph) {
      return apply("cross_entropy", {float_input(graph, shape), integer_input(graph, labels)});
    });
    add_against_copy("cross entropy/input gradient" + of, [=](Graph& graph) {
      const Value logits = float_input(graph, shape);
      return derivative(apply("cross_entropy", {logits, integer_input(graph, labels)}), logits);
    });
  }
}

}  // namespace bpcore::benchmarks
