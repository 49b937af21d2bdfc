// layer_norm and rms_norm over the last axes, taken as one, and their derivative.
#include "kernels/norm.h"

#include "graph/autodiff.h"
#include "ops/op_list.h"
#include "ops/record.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

// x (..., *sizes) with weight and bias (*sizes), as rows.
struct Rows {
  int64_t rows = 1, count = 1;
  Shape sizes;

  Rows(const char* op, const Signature& node) {
    expect_float(op, node, 0);
    const Shape& x = node.input(0).shape;
    const int64_t axes = node.attributes.integer("axes");
    if (axes < 1 || axes > x.rank())
      throw ValueError(
          concat(op, ": axes must be from 1 to the number there are, got ", axes, " for shape ", x));
    const int leading = x.rank() - static_cast<int>(axes);
    for (int axis = 0; axis < x.rank(); ++axis) (axis < leading ? rows : count) *= x[axis];
    for (int axis = leading; axis < x.rank(); ++axis) sizes.append(x[axis]);
    if (count == 0) throw ValueError(concat(op, ": the axes to normalise of shape ", x, " are empty"));
    const double eps = node.attributes.number("eps");
    if (!(eps >= 0)) throw ValueError(concat(op, ": eps must be at least 0, got ", eps));
  }

  void expect_sized(const char* op, const Signature& node, int number) const {
    expect_same_dtype(op, node, 0, number);
    if (node.input(number).shape != sizes)
      throw ValueError(
          concat(op, ": input ", number, " must be of shape ", sizes, ", got ", node.input(number).shape));
  }

  // Rows are shared out in parts, each of which sums its gradients of weight and bias by itself.
  int64_t rows_per_part() const { return std::max<int64_t>(1, 16384 / count); }
  int64_t parts() const { return std::max<int64_t>(1, ceil_div(rows, rows_per_part())); }
  Range part(int64_t number) const {
    return {number * rows_per_part(), std::min(rows, (number + 1) * rows_per_part())};
  }
  // The record of the gradients: by x; of each part by weight; of each part by bias.
  int64_t sums_offset(int number) const { return padded(rows * count) + number * padded(parts() * count); }
};

Value mean_of_rows(Value x) {
  return apply("mean", {x}, {{"axes", std::vector<int64_t>{1}}, {"keepdims", true}});
}

// (rows, count) normalised, without weight and bias.
Value normalized(Value x, bool centred, double eps) {
  Value difference = x;
  if (centred) {
    const Value first = apply("slice", {x},
                              {{"start", std::vector<int64_t>{0, 0}},
                               {"size", std::vector<int64_t>{x.shape()[0], 1}},
                               {"step", std::vector<int64_t>{1, 1}}});
    const Value shifted = x - apply("stop_gradient", {first});
    difference = shifted + -mean_of_rows(shifted);
  }
  const Value variance = mean_of_rows(difference * difference);
  return difference * (1.0 / apply("sqrt", {variance + variance.scalar(eps)}));
}

// x (..., *sizes)[, weight (*sizes)[, bias (*sizes)]] → weight · normalised x + bias
class Norm final : public Op {
 public:
  Norm(const char* name, const char* gradient, bool centred)
      : name_(name), gradient_(gradient), centred_(centred) {}
  const char* name() const override { return name_; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1, 3);
    const Rows rows(name(), node);
    for (int number = 1; number < node.count(); ++number) rows.expect_sized(name(), node, number);
    return node.input(0);
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Rows rows(name(), node);
    const bool has_weight = node.count() > 1, has_bias = node.count() > 2;
    Routine routine;
    routine.tasks = rows.parts();
    routine.cost = 0.4 * static_cast<double>(output.shape.elements()) + 20.0 * static_cast<double>(rows.rows);
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const auto run = centred_ ? kernels::normalize_rows<T, true> : kernels::normalize_rows<T, false>;
      const T eps = static_cast<T>(node.attributes.number("eps"));
      routine.run = [=](const Frame& frame, int64_t task) {
        const Range part = rows.part(task);
        const int64_t first = part.begin * rows.count;
        run(frame.input<T>(0) + first, has_weight ? frame.input<T>(1) : nullptr,
            has_bias ? frame.input<T>(2) : nullptr, part.end - part.begin, rows.count, eps,
            frame.output<T>() + first);
      };
    });
    return routine;
  }

  void vjp(Vjp& node) const override {
    const bool has_weight = node.count() > 1, has_bias = node.count() > 2;
    std::vector<Value> inputs{node.input(0), node.seed()};
    std::vector<TensorType> types{node.input(0).type()};
    if (has_weight) inputs.push_back(node.input(1));
    Attributes attributes = node.attributes();
    attributes.set("bias", has_bias);
    const Rows rows(name(), {types, node.attributes()});
    const Value record = apply(gradient_, inputs, attributes);
    node.set(0, part(record, 0, node.input(0).shape()));
    for (int number = 1; number < node.count(); ++number) {
      const Value sums = part(record, rows.sums_offset(number - 1), {rows.parts(), rows.count});
      node.set(number, reshape(sum(sums, {0}), rows.sizes));
    }
  }

  Value decompose(const std::vector<Value>& inputs, const Attributes& attributes) const override {
    std::vector<TensorType> types{inputs[0].type()};
    const Rows rows(name(), {types, attributes});
    Value y = normalized(reshape(inputs[0], {rows.rows, rows.count}), centred_, attributes.number("eps"));
    if (inputs.size() > 1) y = y * reshape(inputs[1], {rows.count});
    if (inputs.size() > 2) y = y + reshape(inputs[2], {rows.count});
    return reshape(y, inputs[0].shape());
  }

 private:
  const char* name_;
  const char* gradient_;
  bool centred_;
};

// x, seed (both (..., *sizes))[, weight (*sizes)] → record of the gradients, see Rows
class NormGradient final : public Op {
 public:
  NormGradient(const char* name, bool centred) : name_(name), centred_(centred) {}
  const char* name() const override { return name_; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 2, 3);
    const Rows rows(name(), node);
    expect_same_dtype(name(), node, 0, 1);
    if (node.input(1).shape != node.input(0).shape)
      throw ValueError(
          concat(name(), ": seed of shape ", node.input(1).shape, " for input of ", node.input(0).shape));
    if (node.count() == 3) rows.expect_sized(name(), node, 2);
    return {node.input(0).dtype, Shape{rows.sums_offset(sums_of(node))}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Rows rows(name(), node);
    const int sums = sums_of(node);
    Routine routine;
    routine.tasks = rows.parts();
    routine.cost = 0.8 * static_cast<double>(rows.rows * rows.count) + 30.0 * static_cast<double>(rows.rows);
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const auto run =
          centred_ ? kernels::normalize_rows_gradient<T, true> : kernels::normalize_rows_gradient<T, false>;
      const T eps = static_cast<T>(node.attributes.number("eps"));
      routine.run = [=](const Frame& frame, int64_t task) {
        const Range part = rows.part(task);
        const int64_t first = part.begin * rows.count;
        T* record = frame.output<T>();
        if (task == 0) {
          clear_gap(record, rows.rows * rows.count);
          for (int number = 0; number < sums; ++number)
            clear_gap(record + rows.sums_offset(number), rows.parts() * rows.count);
        }
        const auto own_sum = [&](int number) {
          return number < sums ? record + rows.sums_offset(number) + task * rows.count : nullptr;
        };
        run(frame.input<T>(0) + first, sums > 0 ? frame.input<T>(2) : nullptr, frame.input<T>(1) + first,
            part.end - part.begin, rows.count, eps, record + first, own_sum(0), own_sum(1));
      };
    });
    return routine;
  }

  Value decompose(const std::vector<Value>& inputs, const Attributes& attributes) const override {
    std::vector<TensorType> types;
    for (const Value& input : inputs) types.push_back(input.type());
    const Signature node{types, attributes};
    const Rows rows(name(), node);
    const Shape flat{rows.rows, rows.count};
    Graph& graph = inputs[0].graph();
    const Value x(graph, graph.fresh(reshape(inputs[0], flat).id())), seed = reshape(inputs[1], flat);
    const Value y = normalized(x, centred_, attributes.number("eps"));
    const Value slope = inputs.size() < 3 ? seed : seed * reshape(inputs[2], {rows.count});
    std::vector<Value> results{{graph, gradients(graph, y.id(), {x.id()}, slope.id())[0]}};
    const int64_t missing = rows.parts() * rows.rows_per_part() - rows.rows;
    for (int number = 0; number < sums_of(node); ++number) {
      Value terms = number == 0 ? seed * y : seed;
      if (missing > 0)
        terms = apply("concatenate", {terms, zeros(graph, {terms.dtype(), {missing, rows.count}})},
                      {{"axis", int64_t{0}}});
      results.push_back(sum(reshape(terms, {rows.parts(), rows.rows_per_part(), rows.count}), {1}));
    }
    return as_record(results);
  }

 private:
  // Of how many of weight and bias there are gradients.
  static int sums_of(const Signature& node) {
    return node.count() < 3 ? 0 : node.attributes.flag("bias") ? 2 : 1;
  }

  const char* name_;
  bool centred_;
};

}  // namespace

void add_norm_ops(OpList& ops) {
  ops.push_back(std::make_unique<Norm>("layer_norm", "layer_norm_gradient", true));
  ops.push_back(std::make_unique<NormGradient>("layer_norm_gradient", true));
  ops.push_back(std::make_unique<Norm>("rms_norm", "rms_norm_gradient", false));
  ops.push_back(std::make_unique<NormGradient>("rms_norm_gradient", false));
}

}  // namespace bpcore
