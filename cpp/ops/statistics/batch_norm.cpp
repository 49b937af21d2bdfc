// Batch normalisation in training, over all axes of x (..., channels) but the last, in six ops: each is one
// pass, and a sum over all rows is done before the next begins.
//
//   moments = batch_moments(x, batch_block_moments(x))           (3, channels)
//   y       = batch_norm(x, weight, bias, moments)
//   totals  = batch_totals(x, g, moments, batch_block_sums(x, g, moments))   (2, channels)
//   dx      = batch_norm_gradient(x, g, weight, moments, totals)
//
// The sums of blocks have no derivatives: those of the totals are written in x.
#include "kernels/batch_norm.h"

#include "graph/autodiff.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

// x as rows of channels.
struct Rows {
  int64_t rows, channels, blocks;
};

Rows rows_of(const char* op, const Signature& node) {
  const Shape& x = node.input(0).shape;
  expect_float(op, node, 0);
  if (x.rank() < 2) throw ValueError(concat(op, ": expected input of shape (batch, ..., channels), got ", x));
  const int64_t rows = x.elements() / std::max<int64_t>(1, x.last());
  if (rows == 0) throw ValueError(concat(op, ": there are no rows in input of shape ", x));
  return {rows, x.last(), kernels::batch_norm_blocks(rows)};
}

void expect_like(const char* op, const Signature& node, int number, const Shape& shape) {
  expect_same_dtype(op, node, 0, number);
  if (node.input(number).shape != shape)
    throw ValueError(
        concat(op, ": input ", number, " must have shape ", shape, ", not ", node.input(number).shape));
}

std::vector<int64_t> all_but_last(const Shape& shape) {
  std::vector<int64_t> axes;
  for (int axis = 0; axis + 1 < shape.rank(); ++axis) axes.push_back(axis);
  return axes;
}

// Row `number` of (count, channels), as (channels).
Value row_of(Value array, int64_t number) {
  const int64_t channels = array.shape().last();
  const Value row = apply("slice", {array},
                          {{"start", std::vector<int64_t>{number, 0}},
                           {"size", std::vector<int64_t>{1, channels}},
                           {"step", std::vector<int64_t>{1, 1}}});
  return reshape(row, {channels});
}

Value stacked(const std::vector<Value>& rows) {
  std::vector<Value> lines;
  for (const Value& row : rows) lines.push_back(reshape(row, {1, row.shape().last()}));
  return apply("concatenate", lines, {{"axis", int64_t{0}}});
}

// x - mean, from the moments.
Value centred(Value x, Value moments) { return (x - row_of(moments, 0)) - row_of(moments, 1); }

Value inverse_deviation(Value moments, double eps) {
  const Value variance = row_of(moments, 2);
  return 1.0 / apply("sqrt", {variance + variance.scalar(eps)});
}

// A routine over tasks of about 2^16 elements, of whole blocks; what runs is still to be set.
Routine by_blocks(const Rows& sizes, double nanoseconds) {
  Routine routine;
  routine.tasks = tasks_for(sizes.blocks, kernels::batch_norm_block * sizes.channels, 65536);
  routine.cost = nanoseconds * static_cast<double>(sizes.rows * sizes.channels);
  return routine;
}

// x (..., channels) → (blocks, 2, channels): means of x - shift and sums of squares around them.
class BlockMoments final : public Op {
 public:
  const char* name() const override { return "batch_block_moments"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 1);
    const Rows sizes = rows_of(name(), node);
    return {node.input(0).dtype, {sizes.blocks, 2, sizes.channels}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Rows sizes = rows_of(name(), node);
    Routine routine = by_blocks(sizes, 0.15);
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [sizes, tasks = routine.tasks](const Frame& frame, int64_t task) {
        const Range share = part_of(sizes.blocks, tasks, task);
        const kernels::Shift<T> shift(frame.input<T>(0), sizes.rows, sizes.channels);
        for (int64_t block = share.begin; block < share.end; ++block) {
          const int64_t first = block * kernels::batch_norm_block;
          kernels::block_moments(frame.input<T>(0) + first * sizes.channels, shift,
                                 std::min(kernels::batch_norm_block, sizes.rows - first), sizes.channels,
                                 frame.output<T>() + 2 * block * sizes.channels);
        }
      };
    });
    return routine;
  }

  void vjp(Vjp&) const override {}  // see above
};

// (x, block moments) → (3, channels): the mean of x, what rounding took from it, the biased variance.
class Moments final : public Op {
 public:
  const char* name() const override { return "batch_moments"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 2);
    const Rows sizes = rows_of(name(), node);
    expect_like(name(), node, 1, {sizes.blocks, 2, sizes.channels});
    return {node.input(0).dtype, {3, sizes.channels}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Rows sizes = rows_of(name(), node);
    Routine routine;
    routine.cost = 1.5 * static_cast<double>(sizes.blocks * sizes.channels);
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [sizes](const Frame& frame, int64_t) {
        const kernels::Shift<T> shift(frame.input<T>(0), sizes.rows, sizes.channels);
        kernels::total_moments(shift, frame.input<T>(1), sizes.rows, sizes.channels, frame.output<T>());
      };
    });
    return routine;
  }

  Value decompose(const std::vector<Value>& inputs, const Attributes&) const override {
    const Value x = inputs[0];
    const std::vector<int64_t> axes = all_but_last(x.shape());
    std::vector<int64_t> size(axes.size(), 1), zero(axes.size() + 1, 0), one(axes.size() + 1, 1);
    size.push_back(x.shape().last());
    const Value first =
        reshape(apply("slice", {x}, {{"start", zero}, {"size", size}, {"step", one}}), {x.shape().last()});
    const auto mean = [&](Value v) { return apply("mean", {v}, {{"axes", axes}, {"keepdims", false}}); };
    const Value shifted = x - first, rest = mean(shifted), difference = shifted - rest;
    const Value whole = first + rest;
    return stacked({whole, (first - whole) + rest, mean(difference * difference)});
  }
};

// (x, weight, bias, moments of x) → weight · (x - mean) / √(variance + eps) + bias.
class BatchNorm final : public Op {
 public:
  const char* name() const override { return "batch_norm"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 4);
    const Rows sizes = rows_of(name(), node);
    expect_like(name(), node, 1, {sizes.channels});
    expect_like(name(), node, 2, {sizes.channels});
    expect_like(name(), node, 3, {3, sizes.channels});
    return node.input(0);
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Rows sizes = rows_of(name(), node);
    const double eps = node.attributes.number("eps");
    Routine routine;
    routine.tasks = tasks_for(sizes.rows, sizes.channels, 65536);
    routine.cost = 0.15 * static_cast<double>(sizes.rows * sizes.channels);
    routine.scratch_bytes = 2 * sizes.channels * static_cast<int64_t>(size_of(output.dtype));
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [sizes, eps, tasks = routine.tasks](const Frame& frame, int64_t task) {
        const Range share = part_of(sizes.rows, tasks, task);
        const int64_t first = share.begin * sizes.channels;
        kernels::batch_norm_rows(frame.input<T>(0) + first, frame.input<T>(1), frame.input<T>(2),
                                 frame.input<T>(3), static_cast<T>(eps), share.end - share.begin,
                                 sizes.channels, reinterpret_cast<T*>(frame.scratch),
                                 frame.output<T>() + first);
      };
    });
    return routine;
  }

  // The derivative by x is that through the moments, too: they get none of their own.
  void vjp(Vjp& node) const override {
    const Value x = node.input(0), weight = node.input(1), moments = node.input(3), g = node.seed();
    const double eps = node.attributes().number("eps");
    const Value totals = apply("batch_totals", {x, g, moments, apply("batch_block_sums", {x, g, moments})});
    if (node.needs(0))
      node.set(0, apply("batch_norm_gradient", {x, g, weight, moments, totals}, {{"eps", eps}}));
    if (node.needs(1)) node.set(1, row_of(totals, 1) * inverse_deviation(moments, eps));
    if (node.needs(2)) node.set(2, row_of(totals, 0));
  }

  Value decompose(const std::vector<Value>& inputs, const Attributes& attributes) const override {
    const Value factor = inputs[1] * inverse_deviation(inputs[3], attributes.number("eps"));
    return centred(inputs[0], inputs[3]) * factor + inputs[2];
  }
};

// (x, g, moments of x) → (blocks, 2, channels): Σ g and Σ g · (x - mean) of each block.
class BlockSums final : public Op {
 public:
  const char* name() const override { return "batch_block_sums"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 3);
    const Rows sizes = rows_of(name(), node);
    expect_like(name(), node, 1, node.input(0).shape);
    expect_like(name(), node, 2, {3, sizes.channels});
    return {node.input(0).dtype, {sizes.blocks, 2, sizes.channels}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Rows sizes = rows_of(name(), node);
    Routine routine = by_blocks(sizes, 0.2);
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [sizes, tasks = routine.tasks](const Frame& frame, int64_t task) {
        const Range share = part_of(sizes.blocks, tasks, task);
        for (int64_t block = share.begin; block < share.end; ++block) {
          const int64_t first = block * kernels::batch_norm_block;
          kernels::block_sums(frame.input<T>(0) + first * sizes.channels,
                              frame.input<T>(1) + first * sizes.channels, frame.input<T>(2),
                              std::min(kernels::batch_norm_block, sizes.rows - first), sizes.channels,
                              frame.output<T>() + 2 * block * sizes.channels);
        }
      };
    });
    return routine;
  }

  void vjp(Vjp&) const override {}  // see above
};

// (x, g, moments of x, block sums) → (2, channels): Σ g and Σ g · (x - mean).
class Totals final : public Op {
 public:
  const char* name() const override { return "batch_totals"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 4);
    const Rows sizes = rows_of(name(), node);
    expect_like(name(), node, 1, node.input(0).shape);
    expect_like(name(), node, 2, {3, sizes.channels});
    expect_like(name(), node, 3, {sizes.blocks, 2, sizes.channels});
    return {node.input(0).dtype, {2, sizes.channels}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Rows sizes = rows_of(name(), node);
    Routine routine;
    routine.cost = 0.5 * static_cast<double>(sizes.blocks * sizes.channels);
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [sizes](const Frame& frame, int64_t) {
        for (int64_t i = 0; i < 2 * sizes.channels; ++i) {
          double sum = 0;
          for (int64_t block = 0; block < sizes.blocks; ++block)
            sum += double{frame.input<T>(3)[2 * block * sizes.channels + i]};
          frame.output<T>()[i] = static_cast<T>(sum);
        }
      };
    });
    return routine;
  }

  Value decompose(const std::vector<Value>& inputs, const Attributes&) const override {
    const std::vector<int64_t> axes = all_but_last(inputs[0].shape());
    return stacked({sum(inputs[1], axes), sum(inputs[1] * centred(inputs[0], inputs[2]), axes)});
  }
};

// (x, g, weight, moments of x, totals) → the derivative of batch_norm by x.
class BatchNormGradient final : public Op {
 public:
  const char* name() const override { return "batch_norm_gradient"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 5);
    const Rows sizes = rows_of(name(), node);
    expect_like(name(), node, 1, node.input(0).shape);
    expect_like(name(), node, 2, {sizes.channels});
    expect_like(name(), node, 3, {3, sizes.channels});
    expect_like(name(), node, 4, {2, sizes.channels});
    return node.input(0);
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Rows sizes = rows_of(name(), node);
    const double eps = node.attributes.number("eps");
    Routine routine;
    routine.tasks = tasks_for(sizes.rows, sizes.channels, 65536);
    routine.cost = 0.2 * static_cast<double>(sizes.rows * sizes.channels);
    routine.scratch_bytes = 3 * sizes.channels * static_cast<int64_t>(size_of(output.dtype));
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [sizes, eps, tasks = routine.tasks](const Frame& frame, int64_t task) {
        const Range share = part_of(sizes.rows, tasks, task);
        const int64_t first = share.begin * sizes.channels;
        kernels::batch_norm_gradient_rows(
            frame.input<T>(0) + first, frame.input<T>(1) + first, frame.input<T>(2), frame.input<T>(3),
            frame.input<T>(4), static_cast<T>(eps), static_cast<T>(sizes.rows), share.end - share.begin,
            sizes.channels, reinterpret_cast<T*>(frame.scratch), frame.output<T>() + first);
      };
    });
    return routine;
  }

  Value decompose(const std::vector<Value>& inputs, const Attributes& attributes) const override {
    const Value x = inputs[0], g = inputs[1], moments = inputs[3], totals = inputs[4];
    const double count = static_cast<double>(x.shape().elements() / x.shape().last());
    const Value inverse = inverse_deviation(moments, attributes.number("eps"));
    const Value slope = inverse * inverse * row_of(totals, 1) / x.scalar(count);
    return inputs[2] * inverse * (g - row_of(totals, 0) / x.scalar(count) - centred(x, moments) * slope);
  }
};

}  // namespace

void add_batch_norm_ops(OpList& ops) {
  ops.push_back(std::make_unique<BlockMoments>());
  ops.push_back(std::make_unique<Moments>());
  ops.push_back(std::make_unique<BatchNorm>());
  ops.push_back(std::make_unique<BlockSums>());
  ops.push_back(std::make_unique<Totals>());
  ops.push_back(std::make_unique<BatchNormGradient>());
}

}  // namespace bpcore
