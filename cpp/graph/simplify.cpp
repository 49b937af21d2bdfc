#include "graph/simplify.h"

#include <cstring>

#include "graph/value.h"

namespace bpcore {

namespace {

bool is(const Node& node, const char* op) { return std::strcmp(node.op->name(), op) == 0; }

// Shape changes that change nothing.
NodeId drop_no_op(Graph& graph, const Node& node) {
  if (!is(node, "reshape") && !is(node, "broadcast_to") && !is(node, "cast")) return -1;
  return graph.type(node.inputs[0]) == node.type ? node.inputs[0] : -1;
}

// 1 · x and x · 1: every derivative begins with a seed of one.
NodeId drop_factor_one(Graph& graph, const Node& node) {
  if (!is(node, "multiply")) return -1;
  for (size_t side : {size_t{0}, size_t{1}}) {
    double value = 0;
    if (graph.scalar_value(node.inputs[side], &value) && value == 1 &&
        graph.type(node.inputs[1 - side]) == node.type)
      return node.inputs[1 - side];
  }
  return -1;
}

// x / 1, and a quotient of two numbers: what makes a mean of a sum, and its derivative's seed.
NodeId plain_quotient(Graph& graph, const Node& node) {
  double above = 0, below = 0;
  if (!is(node, "divide") || !graph.scalar_value(node.inputs[1], &below)) return -1;
  if (below == 1 && graph.type(node.inputs[0]) == node.type) return node.inputs[0];
  if (node.type.shape.rank() > 0 || !graph.scalar_value(node.inputs[0], &above)) return -1;
  return graph.scalar(above / below, node.type.dtype);
}

// A sum, mean or extreme along axes of one element: in a batch of one sample, a bias's gradient.
NodeId reduction_of_nothing(Graph& graph, const Node& node) {
  if (!is(node, "sum") && !is(node, "mean") && !is(node, "max") && !is(node, "min")) return -1;
  const Value x(graph, node.inputs[0]);
  if (x.shape().elements() != node.type.shape.elements()) return -1;
  return reshape(x, node.type.shape).id();
}

// x² needs no logarithm.
NodeId plain_power(Graph& graph, const Node& node) {
  double exponent = 0;
  if (!is(node, "power") || !graph.scalar_value(node.inputs[1], &exponent)) return -1;
  const Value base(graph, node.inputs[0]);
  if (!(base.type() == node.type)) return -1;
  if (exponent == 1) return base.id();
  if (exponent == 2) return (base * base).id();
  return -1;
}

// log(softmax(x)) → log_softmax(x), which does not overflow to -inf.
NodeId stable_log_softmax(Graph& graph, const Node& node) {
  if (!is(node, "log") || !graph.is(node.inputs[0], "softmax")) return -1;
  const Node& softmax = graph.node(node.inputs[0]);
  return graph.add("log_softmax", softmax.inputs, softmax.attributes);
}

// -Σ one_hot(labels) · log_softmax(logits) over the last axis → cross_entropy(logits, labels).
NodeId fused_cross_entropy(Graph& graph, const Node& node) {
  if (!is(node, "neg") || !graph.is(node.inputs[0], "sum")) return -1;
  const Node& total = graph.node(node.inputs[0]);
  const Node& product = graph.node(total.inputs[0]);
  const int64_t last = product.type.shape.rank() - 1;
  if (!graph.is(total.inputs[0], "multiply") || total.attributes.flag("keepdims") ||
      total.attributes.integers("axes") != std::vector<int64_t>{last})
    return -1;
  for (size_t side : {size_t{0}, size_t{1}}) {
    const NodeId labels = product.inputs[side], scores = product.inputs[1 - side];
    if (!graph.is(labels, "one_hot") || !graph.is(scores, "log_softmax")) continue;
    if (!(graph.type(labels) == graph.type(scores))) continue;
    const Node& log_softmax = graph.node(scores);
    const int64_t axis = log_softmax.attributes.integer("axis");
    if (axis != -1 && axis != last) continue;
    return graph.add("cross_entropy", {log_softmax.inputs[0], graph.node(labels).inputs[0]});
  }
  return -1;
}

// The reduction kernels take one run of neighbouring axes. Several runs of a sum are reduced one after the
// other; an extreme's are brought together first, so that its derivative sees all equal elements at once.
NodeId one_run_of_axes(Graph& graph, const Node& node) {
  const bool extreme = is(node, "max") || is(node, "min");
  if (!extreme && !is(node, "sum") && !is(node, "mean")) return -1;
  const char* op = node.op->name();
  const Shape& shape = graph.type(node.inputs[0]).shape;
  std::vector<bool> reduced(static_cast<size_t>(shape.rank()), false);
  for (int64_t axis : node.attributes.integers("axes"))
    reduced[static_cast<size_t>(normalize_axis(op, axis, shape.rank()))] = true;

  std::vector<int64_t> kept, last_run, earlier;
  bool run_ended = false;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    if (reduced[static_cast<size_t>(axis)]) {
      (run_ended ? earlier : last_run).insert((run_ended ? earlier : last_run).begin(), axis);
    } else {
      kept.insert(kept.begin(), axis);
      run_ended = !last_run.empty();
    }
  }
  if (earlier.empty()) return -1;
  const Value x(graph, node.inputs[0]);
  if (!extreme) {
    const Value partial = apply(op, {x}, {{"axes", last_run}, {"keepdims", true}});
    return reshape(apply(op, {partial}, {{"axes", earlier}, {"keepdims", true}}), node.type.shape).id();
  }
  std::vector<int64_t> order = kept, trailing;
  order.insert(order.end(), earlier.begin(), earlier.end());
  order.insert(order.end(), last_run.begin(), last_run.end());
  for (int64_t axis = static_cast<int64_t>(kept.size()); axis < shape.rank(); ++axis)
    trailing.push_back(axis);
  const Value together = apply("transpose", {x}, {{"axes", order}});
  return reshape(apply(op, {together}, {{"axes", trailing}, {"keepdims", false}}), node.type.shape).id();
}

// dense(gather(table, i), w[, b]) → gather(dense(table, w[, b]), i), likewise of matmul by one matrix: each
// row of the table is multiplied once, not as often as it is taken. Forward, the bits are the same, since
// those of a product's row don't depend on the other rows; backward, gradients are first added up by row,
// then multiplied, so that products of an embedding's weight and that of the layer behind it are small ones,
// too. It depends on shapes alone, on that of the batch as well: the smaller last one of an epoch may go the
// other way. A row of the table that is not finite reaches the weight's gradient even if nobody takes it.
NodeId product_of_table(Graph& graph, const Node& node) {
  if (graph.keeps_rows() || (!is(node, "dense") && !is(node, "matmul"))) return -1;
  if (!graph.is(node.inputs[0], "gather") || graph.type(node.inputs[1]).shape.rank() != 2) return -1;
  if (node.attributes.flag("transpose_a")) return -1;
  const Node& gather = graph.node(node.inputs[0]);
  const NodeId table = gather.inputs[0], indices = gather.inputs[1];
  const Shape& rows = graph.type(table).shape;
  if (rows.rank() != 2 || normalize_axis("gather", gather.attributes.integer("axis"), 2) != 0) return -1;
  // What a row costs beside its products, and that it may be gathered for others all the same, want a margin.
  if (2 * rows[0] > graph.type(indices).shape.elements()) return -1;
  std::vector<NodeId> inputs = node.inputs;
  inputs[0] = table;
  const NodeId product = graph.add(node.op->name(), std::move(inputs), node.attributes);
  return graph.add("gather", {product, indices}, gather.attributes);
}

// A sum of gradients of parts: what the gradient of a record is made of.
bool is_sum_of_parts(const Graph& graph, NodeId id) {
  if (graph.is(id, "part_gradient")) return true;
  return graph.is(id, "add") && is_sum_of_parts(graph, graph.node(id).inputs[0]) &&
         is_sum_of_parts(graph, graph.node(id).inputs[1]);
}

// part of a part, of zeros, and of the gradients of other parts or the same one.
NodeId part_of_parts(Graph& graph, const Node& node) {
  if (!is(node, "part")) return -1;
  const NodeId record = node.inputs[0];
  const Shape& shape = node.type.shape;
  const int64_t begin = node.attributes.integer("offset"), count = shape.elements();
  if (graph.is_zero(record)) return zeros(graph, node.type).id();
  if (!is_sum_of_parts(graph, record)) return -1;
  const Node& source = graph.node(record);
  if (graph.is(record, "add")) {
    const Value a = part({graph, source.inputs[0]}, begin, shape);
    const Value b = part({graph, source.inputs[1]}, begin, shape);
    return graph.is_zero(a.id()) ? b.id() : graph.is_zero(b.id()) ? a.id() : (a + b).id();
  }
  const int64_t given = source.attributes.integer("offset");
  const int64_t size = graph.type(source.inputs[0]).shape.elements();
  if (given + size <= begin || begin + count <= given) return zeros(graph, node.type).id();
  if (given != begin || size != count) return -1;
  return reshape({graph, source.inputs[0]}, shape).id();
}

}  // namespace

NodeId simplify(Graph& graph, const Node& candidate) {
  for (const auto rule :
       {drop_no_op, drop_factor_one, plain_quotient, reduction_of_nothing, plain_power, stable_log_softmax,
        fused_cross_entropy, one_run_of_axes, product_of_table, part_of_parts})
    if (const NodeId found = rule(graph, candidate); found >= 0) return found;
  return -1;
}

}  // namespace bpcore
