#include "ops/convolution/conv_shape.h"

#include "core/error.h"

namespace bpcore {

namespace {

// Sizes beyond this are refused, so that sums and products of a few of them fit into 64 bits.
constexpr int64_t most = int64_t{1} << 28;

const std::vector<int64_t>& numbers(const char* op, const Attributes& attributes, const char* name,
                                    size_t count, int64_t least) {
  const auto& values = attributes.integers(name);
  if (values.size() != count)
    throw ValueError(concat(op, ": ", name, " must be ", count, " numbers, got ", values.size()));
  for (const int64_t value : values)
    if (value < least || value > most)
      throw ValueError(
          concat(op, ": ", name, " must be at least ", least, " and at most ", most, ", got ", value));
  return values;
}

kernels::ConvAxis axis_of(const char* op, const char* name, int64_t in, int64_t kernel, int64_t stride,
                          int64_t before, int64_t after, int64_t dilation) {
  const int64_t padded = in + before + after, reach = (kernel - 1) * dilation + 1;
  if (padded < reach)
    throw ValueError(
        concat(op, ": a kernel that reaches over ", reach, " positions of the ", name,
               " does not fit into an input of ", in,
               before + after == 0 ? std::string() : concat(" and a padding of ", before + after)));
  return {in, (padded - reach) / stride + 1, kernel, stride, before, dilation};
}

}  // namespace

void expect_image(const char* op, const char* what, const Shape& shape) {
  if (shape.rank() != 4)
    throw ValueError(
        concat(op, ": the ", what, " must be of shape (batch, height, width, channels), got ", shape));
}

void expect_weight(const char* op, const Shape& weight) {
  if (weight.rank() != 4 || weight.elements() == 0)
    throw ValueError(concat(op,
                            ": the weight must be of shape (kernel height, kernel width, channels, filters), "
                            "none zero, got ",
                            weight));
}

void expect_gradient(const char* op, const kernels::ConvShape& shape, const Shape& gradient) {
  const Shape output{shape.images, shape.y.out, shape.x.out, shape.filters};
  if (gradient != output)
    throw ValueError(concat(op, ": the gradient must have the output's shape ", output, ", got ", gradient));
}

int64_t groups_of(const char* op, const Attributes& attributes, int64_t channels) {
  const int64_t groups = attributes.integer("groups");
  if (groups < 1) throw ValueError(concat(op, ": groups must be at least 1, got ", groups));
  if (channels % groups != 0)
    throw ValueError(concat(op, ": ", channels, " channels can't be cut into ", groups, " groups"));
  return groups;
}

kernels::ConvShape conv_shape(const char* op, const Attributes& attributes, const Shape& x,
                              const Shape& weight) {
  expect_image(op, "input", x);
  expect_weight(op, weight);
  const int64_t groups = groups_of(op, attributes, x.last());
  if (x.last() != weight[2] * groups)
    throw ValueError(concat(op, ": input of shape ", x, " does not fit weight of shape ", weight,
                            "; it must have ", weight[2] * groups, " channels"));
  if (weight[3] % groups != 0)
    throw ValueError(concat(op, ": ", weight[3], " filters can't be cut into ", groups, " groups"));
  for (const int64_t size : {x[1], x[2], weight[0], weight[1]})
    if (size > most) throw ValueError(concat(op, ": sizes up to ", most, " are possible, got ", size));
  const auto& strides = numbers(op, attributes, "strides", 2, 1);
  const auto& padding = numbers(op, attributes, "padding", 4, 0);
  const auto& dilation = numbers(op, attributes, "dilation", 2, 1);
  return {x[0],
          x.last(),
          weight[3],
          groups,
          axis_of(op, "height", x[1], weight[0], strides[0], padding[0], padding[1], dilation[0]),
          axis_of(op, "width", x[2], weight[1], strides[1], padding[2], padding[3], dilation[1])};
}

Attributes window_of(const Attributes& attributes) {
  return {{"strides", attributes.integers("strides")},
          {"padding", attributes.integers("padding")},
          {"dilation", attributes.integers("dilation")},
          {"groups", attributes.integer("groups")}};
}

Value conv2d_input_gradient(Value gradient, Value weight, Attributes window, const Shape& x) {
  window.set("size", std::vector<int64_t>{x[1], x[2]});
  return apply("conv2d_input_gradient", {gradient, weight}, std::move(window));
}

Value conv2d_weight_gradient(Value x, Value gradient, Attributes window, const Shape& weight) {
  window.set("kernel", std::vector<int64_t>{weight[0], weight[1]});
  return apply("conv2d_weight_gradient", {x, gradient}, std::move(window));
}

Value conv2d_parameter_gradients(Value x, Value gradient, Attributes window, const Shape& weight) {
  window.set("kernel", std::vector<int64_t>{weight[0], weight[1]});
  return apply("conv2d_parameter_gradients", {x, gradient}, std::move(window));
}

}  // namespace bpcore
