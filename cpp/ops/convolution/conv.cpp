// conv2d and its gradients. Each is linear in each of its two factors, and the derivative of any of them
// consists of the others.
#include <algorithm>
#include <memory>
#include <optional>

#include "graph/autodiff.h"
#include "kernels/conv/conv.h"
#include "kernels/conv/input_gradient.h"
#include "kernels/conv/winograd.h"
#include "ops/convolution/conv_shape.h"
#include "ops/elementwise/activation.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

double conv_cost(const kernels::ConvShape& shape) {
  const auto outputs = static_cast<double>(shape.images * shape.y.out * shape.x.out * shape.filters);
  return 1.2e-2 * shape.products() + 0.1 * outputs;
}

template <class T>
int64_t scratch_bytes(int64_t elements) {
  return elements * static_cast<int64_t>(sizeof(T));
}

// Lets a routine be cut into tasks for one thread, for two and for more.
template <class Cut>
void cut_for_teams(Routine& routine, Cut cut) {
  static_cast<Work&>(routine) = cut(16);
  routine.alone = cut(1);
  routine.pair = cut(4);
}

// Lets it run body(part, frame, task) for each task of each part, a Correlation or one that is like it.
template <class T, class Part, class Body>
void run_parts(Routine& routine, const std::vector<kernels::CorrelationShape>& shapes, Body body) {
  cut_for_teams(routine, [&](int64_t most_tasks) -> Work {
    std::vector<Part> parts;
    std::vector<int64_t> ends;
    int64_t tasks = 0;
    for (const kernels::CorrelationShape& shape : shapes) {
      parts.emplace_back(shape, most_tasks);
      ends.push_back(tasks += parts.back().tasks());
      routine.scratch_bytes =
          std::max(routine.scratch_bytes, scratch_bytes<T>(parts.back().scratch_elements()));
    }
    return {[=](const Frame& frame, int64_t task) {
              const auto end = std::upper_bound(ends.begin(), ends.end(), task);
              const auto part = static_cast<size_t>(end - ends.begin());
              body(parts[part], frame, task - (part == 0 ? 0 : ends[part - 1]));
            },
            tasks};
  });
}

// The same of correlations, by the algorithm that is fastest. Winograd's is for float32: float64 is asked for
// where digits matter.
template <class T, class Body>
void run_correlations(Routine& routine, const std::vector<kernels::CorrelationShape>& shapes, Body body) {
  if constexpr (std::is_same_v<T, float>)
    if (shapes.size() == 1 && kernels::WinogradCorrelation<T>::pays(shapes[0]))
      return run_parts<T, kernels::WinogradCorrelation<T>>(routine, shapes, body);
  run_parts<T, kernels::Correlation<T>>(routine, shapes, body);
}

// Adds the tasks that write the zeros of positions which no part reaches.
template <class T>
void clear_unmet(Routine& routine, const kernels::UnmetPositions& unmet) {
  for (Work* work : {static_cast<Work*>(&routine), &routine.alone, &routine.pair}) {
    const int64_t before = work->tasks;
    work->run = [=, run = std::move(work->run)](const Frame& frame, int64_t task) {
      if (task < before) return run(frame, task);
      unmet.clear(task - before, frame.output<T>());
    };
    work->tasks += unmet.tasks();
  }
  routine.cost += 0.1 * static_cast<double>(unmet.elements());
}

class Conv2d final : public Op {
 public:
  const char* name() const override { return "conv2d"; }

  // x (images, height, width, channels), weight (kernel height, kernel width, channels / groups, filters)
  // [, bias (filters)] → (images, output height, output width, filters)
  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 2, 3);
    expect_float(name(), node, 0);
    for (int number = 1; number < node.count(); ++number) expect_same_dtype(name(), node, 0, number);
    const kernels::ConvShape shape = shape_of(node);
    if (node.count() == 3 && node.input(2).shape != Shape{shape.filters})
      throw ValueError(concat(name(), ": bias of shape ", node.input(2).shape,
                              " does not fit weight of shape ", node.input(1).shape, "; it must be (",
                              shape.filters, ",)"));
    activation_from_name(name(), node.attributes.text("activation", ""));
    return {node.input(0).dtype, {shape.images, shape.y.out, shape.x.out, shape.filters}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const kernels::ConvShape shape = kernels::merged(shape_of(node));
    const Activation activation = activation_from_name(name(), node.attributes.text("activation", ""));
    const bool has_bias = node.count() == 3;
    Routine routine;
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      run_correlations<T>(routine, {kernels::forward_correlation(shape)},
                          [=](const auto& part, const Frame& frame, int64_t task) {
                            kernels::Epilogue<T> epilogue;
                            if (has_bias) epilogue.bias = frame.input<T>(2);
                            epilogue.relu = activation == Activation::Relu;
                            part.run(task, frame.input<T>(0), frame.input<T>(1), frame.output<T>(), epilogue,
                                     reinterpret_cast<T*>(frame.scratch));
                            if (activation == Activation::None || activation == Activation::Relu) return;
                            part.each_row(task, [&](int64_t offset, int64_t count) {
                              activate(activation, count, frame.output<T>() + offset);
                            });
                          });
    });
    routine.cost = conv_cost(shape);
    return routine;
  }

  void vjp(Vjp& node) const override {
    const std::string activation = node.attributes().text("activation", "");
    const Value x = node.input(0), weight = node.input(1);
    const Value g =
        activation.empty() ? node.seed() : activation_gradient(activation, node.seed(), node.output());
    const Attributes window = window_of(node.attributes());
    if (node.needs(0)) node.set(0, conv2d_input_gradient(g, weight, window, x.shape()));
    const bool for_bias = node.count() == 3 && node.needs(2);
    if (node.needs(1) && for_bias) {  // in one pass over g
      const Value record = conv2d_parameter_gradients(x, g, window, weight.shape());
      const ParameterGradients parts(weight.shape());
      node.set(1, parts.weight_of(record));
      node.set(2, parts.bias_of(record));
    } else if (node.needs(1)) {
      node.set(1, conv2d_weight_gradient(x, g, window, weight.shape()));
    } else if (for_bias) {
      node.set(2, sum(g, {0, 1, 2}));
    }
  }

  Value decompose(const std::vector<Value>& inputs, const Attributes& attributes) const override {
    Value y = apply(name(), {inputs[0], inputs[1]}, window_of(attributes));
    if (inputs.size() == 3) y = y + inputs[2];
    const std::string activation = attributes.text("activation", "");
    return activation.empty() ? y : apply(activation.c_str(), {y});
  }

 private:
  kernels::ConvShape shape_of(const Signature& node) const {
    return conv_shape(name(), node.attributes, node.input(0).shape, node.input(1).shape);
  }
};

class Conv2dInputGradient final : public Op {
 public:
  const char* name() const override { return "conv2d_input_gradient"; }

  // gradient (images, output height, output width, filters), weight as for conv2d, attribute "size" (height,
  // width) → (images, height, width, channels)
  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 2);
    expect_float(name(), node, 0);
    expect_same_dtype(name(), node, 0, 1);
    const kernels::ConvShape shape = shape_of(node);
    return {node.input(0).dtype, {shape.images, shape.y.in, shape.x.in, shape.channels}};
  }

  // A third input, which only the pass that fuses relu_gradient gives, is the y of relu_gradient(result, y).
  Routine compile(const Signature& node, const TensorType& output) const override {
    const kernels::ConvShape shape = kernels::merged(shape_of(node));
    const bool has_where = node.count() == 3;
    Routine routine;
    routine.cost = conv_cost(shape);
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      run_correlations<T>(routine, kernels::input_gradient_correlations(shape),
                          [=](const auto& part, const Frame& frame, int64_t task) {
                            kernels::Epilogue<T> epilogue;
                            if (has_where) epilogue.where = frame.input<T>(2);
                            part.run(task, frame.input<T>(0), frame.input<T>(1), frame.output<T>(), epilogue,
                                     reinterpret_cast<T*>(frame.scratch));
                          });
      const kernels::UnmetPositions unmet(shape);
      if (unmet.tasks() > 0) clear_unmet<T>(routine, unmet);
    });
    return routine;
  }

  void vjp(Vjp& node) const override {
    const Value g = node.input(0), weight = node.input(1), seed = node.seed();
    const Attributes window = window_of(node.attributes());
    if (node.needs(0)) node.set(0, apply("conv2d", {seed, weight}, window));
    if (node.needs(1)) node.set(1, conv2d_weight_gradient(seed, g, window, weight.shape()));
  }

 private:
  kernels::ConvShape shape_of(const Signature& node) const {
    const Shape &g = node.input(0).shape, &weight = node.input(1).shape;
    expect_image(name(), "gradient", g);
    expect_weight(name(), weight);
    const auto& size = node.attributes.integers("size");
    if (size.size() != 2) throw ValueError(concat(name(), ": size must be two numbers"));
    const Shape x{g[0], size[0], size[1], weight[2] * node.attributes.integer("groups")};
    const kernels::ConvShape shape = conv_shape(name(), node.attributes, x, weight);
    expect_gradient(name(), shape, g);
    return shape;
  }
};

// x (images, height, width, channels), gradient (images, output height, output width, filters), attribute
// "kernel" (height, width).
kernels::ConvShape weight_gradient_shape(const char* op, const Signature& node) {
  expect_inputs(op, node, 2);
  expect_float(op, node, 0);
  expect_same_dtype(op, node, 0, 1);
  const Shape &x = node.input(0).shape, &g = node.input(1).shape;
  expect_image(op, "input", x);
  expect_image(op, "gradient", g);
  const auto& kernel = node.attributes.integers("kernel");
  if (kernel.size() != 2) throw ValueError(concat(op, ": kernel must be two numbers"));
  const int64_t groups = groups_of(op, node.attributes, x.last());
  const kernels::ConvShape shape =
      conv_shape(op, node.attributes, x, {kernel[0], kernel[1], x.last() / groups, g.last()});
  expect_gradient(op, shape, g);
  return shape;
}

Shape weight_of(const kernels::ConvShape& shape) {
  return {shape.y.kernel, shape.x.kernel, shape.group_channels(), shape.filters};
}

// Lets a routine run a product, a WeightGradient or one that is like it: the gradient by weight; or the
// record of it and that by bias.
template <class T, class Product>
void run_weight_gradient(Routine& routine, const kernels::ConvShape& shape,
                         const std::optional<ParameterGradients>& record) {
  cut_for_teams(routine, [&](int64_t most_tasks) -> Work {
    const Product product(shape, most_tasks);
    routine.scratch_bytes = std::max(routine.scratch_bytes, scratch_bytes<T>(product.scratch_elements()));
    return {[=](const Frame& frame, int64_t task) {
              T* result = frame.output<T>();
              product.run(task, frame.input<T>(0), frame.input<T>(1),
                          record ? result + record->weight_at : result,
                          record ? result + record->bias_at : nullptr, reinterpret_cast<T*>(frame.scratch));
              if (record && task == 0) record->layout.clear_gaps(result);
            },
            product.tasks()};
  });
}

Routine weight_gradient_routine(const kernels::ConvShape& unmerged, DType dtype,
                                const std::optional<ParameterGradients>& record) {
  const kernels::ConvShape shape = kernels::merged(unmerged);
  Routine routine;
  with_float(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_same_v<T, float>)
      if (kernels::WinogradWeightGradient<T>::pays(shape))
        return run_weight_gradient<T, kernels::WinogradWeightGradient<T>>(routine, shape, record);
    run_weight_gradient<T, kernels::WeightGradient<T>>(routine, shape, record);
  });
  routine.cost = conv_cost(shape);
  return routine;
}

class Conv2dWeightGradient final : public Op {
 public:
  const char* name() const override { return "conv2d_weight_gradient"; }

  // → (kernel height, kernel width, channels / groups, filters)
  TensorType infer(const Signature& node) const override {
    return {node.input(0).dtype, weight_of(weight_gradient_shape(name(), node))};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    return weight_gradient_routine(weight_gradient_shape(name(), node), output.dtype, {});
  }

  void vjp(Vjp& node) const override {
    const Value x = node.input(0), g = node.input(1), seed = node.seed();
    const Attributes window = window_of(node.attributes());
    if (node.needs(0)) node.set(0, conv2d_input_gradient(g, seed, window, x.shape()));
    if (node.needs(1)) node.set(1, apply("conv2d", {x, seed}, window));
  }
};

// The gradients by weight and bias of a convolution that has both, as one record.
class Conv2dParameterGradients final : public Op {
 public:
  const char* name() const override { return "conv2d_parameter_gradients"; }

  TensorType infer(const Signature& node) const override {
    return {node.input(0).dtype, {parts_of(node).layout.size()}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    return weight_gradient_routine(weight_gradient_shape(name(), node), output.dtype, parts_of(node));
  }

  void vjp(Vjp& node) const override {
    const Value x = node.input(0), g = node.input(1);
    const Attributes window = window_of(node.attributes());
    const ParameterGradients parts(
        weight_of(weight_gradient_shape(name(), {{x.type(), g.type()}, node.attributes()})));
    const Value weight = parts.weight_of(node.seed()), bias = parts.bias_of(node.seed());
    if (node.needs(0)) node.set(0, conv2d_input_gradient(g, weight, window, x.shape()));
    if (node.needs(1)) node.set(1, apply("conv2d", {x, weight, bias}, window));
  }

 private:
  ParameterGradients parts_of(const Signature& node) const {
    return ParameterGradients(weight_of(weight_gradient_shape(name(), node)));
  }
};

}  // namespace

void add_conv_ops(OpList& ops) {
  ops.push_back(std::make_unique<Conv2d>());
  ops.push_back(std::make_unique<Conv2dInputGradient>());
  ops.push_back(std::make_unique<Conv2dWeightGradient>());
  ops.push_back(std::make_unique<Conv2dParameterGradients>());
}

}  // namespace bpcore
