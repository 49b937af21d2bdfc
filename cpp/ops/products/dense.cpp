// dense: x·W + b with an activation, the layer that most networks are made of.
#include "graph/autodiff.h"
#include "ops/elementwise/activation.h"
#include "ops/op_list.h"
#include "ops/products/product.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

// The leading axes of (..., last) as one: (rows, last).
Value as_rows(Value x) { return reshape(x, {x.shape().elements() / x.shape().last(), x.shape().last()}); }

class Dense final : public Op {
 public:
  const char* name() const override { return "dense"; }

  // x (..., in), weight (in, out)[, bias (out)] → (..., out)
  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 2, 3);
    expect_float(name(), node, 0);
    for (int number = 1; number < node.count(); ++number) expect_same_dtype(name(), node, 0, number);
    const Shape &x = node.input(0).shape, &weight = node.input(1).shape;
    if (weight.rank() != 2 || weight.elements() == 0)
      throw ValueError(concat(name(), ": the weight must be of shape (in, out), neither zero, got ", weight));
    if (x.rank() == 0 || x.last() != weight[0])
      throw ValueError(concat(name(), ": input of shape ", x, " does not fit weight of shape ", weight,
                              "; its last axis must be ", weight[0]));
    if (node.count() == 3 && node.input(2).shape != Shape{weight[1]})
      throw ValueError(
          concat(name(), ": bias of shape ", node.input(2).shape, " does not fit weight of shape ", weight));
    activation_from_name(name(), node.attributes.text("activation", ""));
    Shape result = x.head(x.rank() - 1);
    result.append(weight[1]);
    return {node.input(0).dtype, result};
  }

  // A last input, of the output's shape, that a pass has given with the attribute then = "add" is added
  // before the activation; the pass may show the output under another shape.
  Routine compile(const Signature& node, const TensorType& output) const override {
    const int64_t in = node.input(1).shape[0], out = node.input(1).shape[1];
    const Shape& x = node.input(0).shape;
    const int64_t rows = x.head(x.rank() - 1).elements();
    const Activation activation = activation_from_name(name(), node.attributes.text("activation", ""));
    const int others = node.attributes.text("then", "") == "add" ? 1 : 0, plus = node.count() - 1;
    const bool has_bias = node.count() - others == 3;
    Routine routine;
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      run_product<T>(routine, {rows, out, in, false, false, in, out, out},
                     [=](const kernels::Gemm<T>& gemm, const Frame& frame, int64_t task) {
                       kernels::Epilogue<T> epilogue;
                       if (has_bias) epilogue.bias = frame.input<T>(2);
                       if (others > 0) epilogue.plus = frame.input<T>(plus);
                       epilogue.relu = activation == Activation::Relu;
                       gemm.run(task, frame.input<T>(0), frame.input<T>(1), frame.output<T>(), epilogue,
                                reinterpret_cast<T*>(frame.scratch));
                       if (activation == Activation::None || activation == Activation::Relu) return;
                       const auto tile = gemm.tile(task);
                       for (int64_t row = tile.row_begin; row < tile.row_end; ++row)
                         activate(activation, tile.column_end - tile.column_begin,
                                  frame.output<T>() + row * out + tile.column_begin);
                     });
    });
    routine.cost = product_cost(rows, out, in);
    return routine;
  }

  void vjp(Vjp& node) const override {
    const std::string activation = node.attributes().text("activation", "");
    const Value x = node.input(0), weight = node.input(1);
    const Value g =
        activation.empty() ? node.seed() : activation_gradient(activation, node.seed(), node.output());
    const Value rows = as_rows(g);
    if (node.needs(0))
      node.set(0, reshape(apply("matmul", {rows, weight}, {{"transpose_b", true}}), x.shape()));
    if (node.needs(1)) node.set(1, apply("matmul", {as_rows(x), rows}, {{"transpose_a", true}}));
    if (node.count() == 3 && node.needs(2)) node.set(2, sum(rows, {0}));
  }

  Value decompose(const std::vector<Value>& inputs, const Attributes& attributes) const override {
    const Value x = inputs[0];
    Shape shape = x.shape();
    shape[shape.rank() - 1] = inputs[1].shape()[1];
    Value y = reshape(apply("matmul", {as_rows(x), inputs[1]}), shape);
    if (inputs.size() == 3) y = y + inputs[2];
    const std::string activation = attributes.text("activation", "");
    return activation.empty() ? y : apply(activation.c_str(), {y});
  }
};

}  // namespace

void add_dense_ops(OpList& ops) { ops.push_back(std::make_unique<Dense>()); }

}  // namespace bpcore
