// What the convolution ops share: their attributes, the sizes that follow, and what doesn't fit together.
#pragma once

#include "graph/value.h"
#include "kernels/conv/conv.h"
#include "ops/record.h"

namespace bpcore {

// Throw ValueError naming `op`.
void expect_image(const char* op, const char* what, const Shape& shape);
void expect_weight(const char* op, const Shape& weight);
void expect_gradient(const char* op, const kernels::ConvShape& shape, const Shape& gradient);
int64_t groups_of(const char* op, const Attributes& attributes, int64_t channels);

// Of the attributes strides (y, x), padding (before y, after y, before x, after x), dilation (y, x), groups.
kernels::ConvShape conv_shape(const char* op, const Attributes& attributes, const Shape& x,
                              const Shape& weight);

// These attributes alone.
Attributes window_of(const Attributes& attributes);

Value conv2d_input_gradient(Value gradient, Value weight, Attributes window, const Shape& x);
Value conv2d_weight_gradient(Value x, Value gradient, Attributes window, const Shape& weight);

// The record of conv2d_parameter_gradients: by weight, by bias.
struct ParameterGradients {
  Shape weight, bias;
  RecordLayout layout;
  int64_t weight_at, bias_at;

  explicit ParameterGradients(const Shape& weight_)
      : weight(weight_),
        bias{weight.last()},
        weight_at(layout.add(weight.elements())),
        bias_at(layout.add(bias.elements())) {}
  Value weight_of(Value record) const { return part(record, weight_at, weight); }
  Value bias_of(Value record) const { return part(record, bias_at, bias); }
};
Value conv2d_parameter_gradients(Value x, Value gradient, Attributes window, const Shape& weight);

}  // namespace bpcore
