// Pooling of images (batch, height, width, channels). Attributes: window, strides and dilation, each (height,
// width), and padding (top, bottom, left, right).
#include "kernels/pool.h"

#include "graph/autodiff.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

using kernels::Pool;
using kernels::PoolAxis;

const std::vector<int64_t>& entries(const char* op, const Attributes& attributes, const char* name,
                                    size_t count, int64_t least) {
  const std::vector<int64_t>& values = attributes.integers(name);
  bool fits = values.size() == count;
  // Bounded, so that no product of two of them overflows.
  for (int64_t value : values) fits = fits && value >= least && value < (int64_t{1} << 31);
  if (!fits) throw ValueError(concat(op, ": ", name, " needs ", count, " numbers of at least ", least));
  return values;
}

PoolAxis axis_of(const char* op, int64_t size, int64_t window, int64_t stride, int64_t before, int64_t after,
                 int64_t dilation) {
  PoolAxis axis{size, 0, window, stride, before, dilation};
  const int64_t room = before + size + after - axis.span();
  if (room < 0)
    throw ValueError(concat(op, ": a window over ", axis.span(), " elements is larger than an axis of ", size,
                            " with padding ", before, " and ", after));
  axis.windows = room / stride + 1;
  // Windows in between reach further inside than the first or the last does, or are dilated: look at each.
  for (int64_t number = 0; number < axis.windows; ++number) {
    const Range inside = axis.inside(number);
    if (inside.begin >= inside.end)
      throw ValueError(concat(op, ": window ", number, " over an axis of ", size, " with padding ", before,
                              " and ", after, " has no element inside"));
  }
  return axis;
}

Pool pool_of(const char* op, const Shape& x, const Attributes& attributes) {
  if (x.rank() != 4)
    throw ValueError(concat(op, ": expected input of shape (batch, height, width, channels), got ", x));
  const auto& window = entries(op, attributes, "window", 2, 1);
  const auto& strides = entries(op, attributes, "strides", 2, 1);
  const auto& dilation = entries(op, attributes, "dilation", 2, 1);
  const auto& padding = entries(op, attributes, "padding", 4, 0);
  return {axis_of(op, x[1], window[0], strides[0], padding[0], padding[1], dilation[0]),
          axis_of(op, x[2], window[1], strides[1], padding[2], padding[3], dilation[1]), x[3]};
}

Shape pooled(const Pool& pool, const Shape& x) {
  return {x[0], pool.rows.windows, pool.columns.windows, x[3]};
}

void expect_shape(const char* op, const Signature& node, int number, const Shape& shape) {
  if (node.input(number).shape != shape)
    throw ValueError(
        concat(op, ": input ", number, " must have shape ", shape, ", not ", node.input(number).shape));
}

// Tasks of whole rows of windows, counted over all images.
Routine by_window_rows(const Pool& pool, int64_t images) {
  const double each = static_cast<double>(pool.pooled_row()) * static_cast<double>(pool.rows.window) *
                      static_cast<double>(pool.columns.window);
  Routine routine;
  routine.tasks = tasks_for(images * pool.rows.windows, static_cast<int64_t>(std::min(each, 1e6)));
  routine.cost = 0.15 * static_cast<double>(images * pool.rows.windows) * each;
  return routine;
}

class MaxPool final : public Op {
 public:
  const char* name() const override { return "max_pool2d"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    expect_float(name(), node, 0);
    const Shape& x = node.input(0).shape;
    return {node.input(0).dtype, pooled(pool_of(name(), x, node.attributes), x)};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Pool pool = pool_of(name(), node.input(0).shape, node.attributes);
    const int64_t rows = output.shape[0] * pool.rows.windows;
    Routine routine = by_window_rows(pool, output.shape[0]);
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [pool, rows, tasks = routine.tasks](const Frame& frame, int64_t task) {
        kernels::max_pool_rows(pool, part_of(rows, tasks, task), frame.input<T>(0), frame.output<T>());
      };
    });
    return routine;
  }

  void vjp(Vjp& node) const override {
    node.set(0, apply("max_pool2d_gradient", {node.input(0), node.seed()}, node.attributes()));
  }
};

// (x, v) → the elements of v that stand where x is largest in a window: max_pool2d is pick(x, x).
class MaxPoolPick final : public Op {
 public:
  const char* name() const override { return "max_pool2d_pick"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 2);
    expect_float(name(), node, 0);
    expect_same_dtype(name(), node, 0, 1);
    const Shape& x = node.input(0).shape;
    expect_shape(name(), node, 1, x);
    return {node.input(0).dtype, pooled(pool_of(name(), x, node.attributes), x)};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Pool pool = pool_of(name(), node.input(0).shape, node.attributes);
    const int64_t rows = output.shape[0] * pool.rows.windows;
    Routine routine = by_window_rows(pool, output.shape[0]);
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [pool, rows, tasks = routine.tasks](const Frame& frame, int64_t task) {
        kernels::max_pool_pick_rows(pool, part_of(rows, tasks, task), frame.input<T>(0), frame.input<T>(1),
                                    frame.output<T>());
      };
    });
    return routine;
  }

  // Which elements are picked does not change in a neighbourhood of x.
  void vjp(Vjp& node) const override {
    if (node.needs(1))
      node.set(1, apply("max_pool2d_gradient", {node.input(0), node.seed()}, node.attributes()));
  }
};

// (x, g) → for each element of x the sum of g of the windows whose largest it is.
class MaxPoolGradient final : public Op {
 public:
  const char* name() const override { return "max_pool2d_gradient"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 2);
    expect_float(name(), node, 0);
    expect_same_dtype(name(), node, 0, 1);
    const Shape& x = node.input(0).shape;
    expect_shape(name(), node, 1, pooled(pool_of(name(), x, node.attributes), x));
    return node.input(0);
  }

  // The attribute "then", which only the pass that fuses relu_gradient sets, makes it relu_gradient(result,
  // x).
  Routine compile(const Signature& node, const TensorType& output) const override {
    const Pool pool = pool_of(name(), node.input(0).shape, node.attributes);
    const bool positive = !node.attributes.text("then", "").empty();
    // Bands of rows of an image, few windows of which are looked at for two bands.
    const int64_t work = std::max<int64_t>(1, pool.row() * ceil_div(pool.rows.span(), pool.rows.stride));
    const int64_t least = std::max(ceil_div(16384, work), 4 * (pool.rows.span() - pool.rows.stride));
    const int64_t band = round_up(std::max<int64_t>(1, least), pool.rows.stride);
    const int64_t bands = ceil_div(pool.rows.size, band), images = output.shape[0];
    Routine routine;
    routine.tasks = std::max<int64_t>(1, images * bands);
    routine.cost = 0.5 * static_cast<double>(output.shape.elements()) +
                   0.25 * static_cast<double>(pool.rows.window * pool.columns.window) *
                       static_cast<double>(node.input(1).shape.elements());
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      const auto kernel =
          positive ? kernels::max_pool_gradient_rows<true, T> : kernels::max_pool_gradient_rows<false, T>;
      routine.run = [pool, band, bands, images, kernel](const Frame& frame, int64_t task) {
        if (images == 0) return;
        const int64_t image = task / bands, first = task % bands * band;
        const int64_t size = pool.rows.size * pool.row();
        kernel(pool, {first, std::min(first + band, pool.rows.size)}, frame.input<T>(0) + image * size,
               frame.input<T>(1) + image * pool.rows.windows * pool.pooled_row(),
               frame.output<T>() + image * size);
      };
    });
    return routine;
  }

  void vjp(Vjp& node) const override {
    if (node.needs(1)) node.set(1, apply("max_pool2d_pick", {node.input(0), node.seed()}, node.attributes()));
  }
};

// Attributes besides: count_padding, whether elements outside count in a window's mean.
class AvgPool final : public Op {
 public:
  const char* name() const override { return "avg_pool2d"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    expect_float(name(), node, 0);
    const Shape& x = node.input(0).shape;
    return {node.input(0).dtype, pooled(pool_of(name(), x, node.attributes), x)};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Pool pool = pool_of(name(), node.input(0).shape, node.attributes);
    const kernels::Divisor divisor{node.attributes.flag("count_padding")};
    const int64_t rows = output.shape[0] * pool.rows.windows;
    Routine routine = by_window_rows(pool, output.shape[0]);
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [pool, divisor, rows, tasks = routine.tasks](const Frame& frame, int64_t task) {
        kernels::avg_pool_rows(pool, divisor, part_of(rows, tasks, task), frame.input<T>(0),
                               frame.output<T>());
      };
    });
    return routine;
  }

  void vjp(Vjp& node) const override {
    Attributes attributes = node.attributes();
    attributes.set("shape", node.input(0).shape().to_vector());
    node.set(0, apply("avg_pool2d_gradient", {node.seed()}, std::move(attributes)));
  }
};

// The transpose of avg_pool2d for an input of `shape`.
class AvgPoolGradient final : public Op {
 public:
  const char* name() const override { return "avg_pool2d_gradient"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    expect_float(name(), node, 0);
    const Shape x(node.attributes.integers("shape"));
    const Pool pool = pool_of(name(), x, node.attributes);
    if (pool.rows.dilation != 1 || pool.columns.dilation != 1)
      throw ValueError("avg_pool2d_gradient: dilation must be 1");
    expect_shape(name(), node, 0, pooled(pool, x));
    return {node.input(0).dtype, x};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Pool pool = pool_of(name(), output.shape, node.attributes);
    const kernels::Divisor divisor{node.attributes.flag("count_padding")};
    const int64_t rows = output.shape[0] * pool.rows.size;
    const int64_t overlap =
        ceil_div(pool.rows.window, pool.rows.stride) * ceil_div(pool.columns.window, pool.columns.stride);
    Routine routine;
    routine.tasks = tasks_for(rows, pool.row() * overlap);
    routine.cost = 0.3 * static_cast<double>(output.shape.elements()) * static_cast<double>(overlap);
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [pool, divisor, rows, tasks = routine.tasks](const Frame& frame, int64_t task) {
        kernels::avg_pool_gradient_rows(pool, divisor, part_of(rows, tasks, task), frame.input<T>(0),
                                        frame.output<T>());
      };
    });
    return routine;
  }

  void vjp(Vjp& node) const override { node.set(0, apply("avg_pool2d", {node.seed()}, node.attributes())); }
};

}  // namespace

void add_pool_ops(OpList& ops) {
  ops.push_back(std::make_unique<MaxPool>());
  ops.push_back(std::make_unique<MaxPoolPick>());
  ops.push_back(std::make_unique<MaxPoolGradient>());
  ops.push_back(std::make_unique<AvgPool>());
  ops.push_back(std::make_unique<AvgPoolGradient>());
}

}  // namespace bpcore
