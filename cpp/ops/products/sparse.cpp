// sparse_dense: a dense layer whose input is a sparse matrix in compressed rows (CSR), and the gradient of
// its weight. Of the weight only the rows are read, and of its gradient only those are written, that an
// element of the input meets.
//
// The matrix is three inputs: indptr (rows + 1), indices (capacity) and values (capacity), as SciPy calls
// them. What lies behind indptr's last element doesn't count. Columns may come in any order and repeatedly.
#include "kernels/sparse.h"
#include "graph/autodiff.h"
#include "ops/elementwise/activation.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

constexpr double nanoseconds_each = 0.05;  // a multiplication
constexpr int indptr = 0, indices = 1, values = 2;

void expect_sparse(const char* op, const Signature& node) {
  expect_dtype(op, node, indptr, DType::Int64);
  expect_dtype(op, node, indices, DType::Int64);
  expect_float(op, node, values);
  const Shape &ends = node.input(indptr).shape, &columns = node.input(indices).shape;
  if (ends.rank() != 1 || ends[0] < 1 || columns.rank() != 1 || node.input(values).shape != columns)
    throw ValueError(concat(op, ": a sparse matrix is indptr (rows + 1), indices (capacity) and values ",
                            "(capacity), got shapes ", ends, ", ", columns, " and ",
                            node.input(values).shape));
}

// The elements of one row, all of them with columns below `bound`; what is wrong is noted, and left out.
template <class T>
struct Row {
  Row(const char* op, const Frame& frame, int64_t row, int64_t capacity, int64_t bound)
      : columns(frame.input<int64_t>(indices)), weights(frame.input<T>(values)) {
    const int64_t* ends = frame.input<int64_t>(indptr);
    const int64_t begin = ends[row], end = ends[row + 1];
    if (begin < 0 || end < begin || end > capacity) {
      frame.status->wrong_length(op, end < begin ? end - begin : end, 0, capacity);
      return;
    }
    columns += begin;
    weights += begin;
    for (int64_t k = 0; k < end - begin; ++k)
      if (columns[k] < 0 || columns[k] >= bound) {
        frame.status->wrong_index(op, columns[k], bound);
        return;
      }
    count = end - begin;
  }

  const int64_t* columns;
  const T* weights;
  int64_t count = 0;
};

class SparseDense final : public Op {
 public:
  const char* name() const override { return "sparse_dense"; }

  // indptr, indices, values, weight (in, out)[, bias (out)] → (rows, out)
  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 4, 5);
    expect_sparse(name(), node);
    for (int number = 3; number < node.count(); ++number) expect_same_dtype(name(), node, values, number);
    const Shape& weight = node.input(3).shape;
    if (weight.rank() != 2 || weight.elements() == 0)
      throw ValueError(concat(name(), ": the weight must be of shape (in, out), neither zero, got ", weight));
    if (node.count() == 5 && node.input(4).shape != Shape{weight[1]})
      throw ValueError(
          concat(name(), ": bias of shape ", node.input(4).shape, " does not fit weight of shape ", weight));
    activation_from_name(name(), node.attributes.text("activation", ""));
    return {node.input(values).dtype, {node.input(indptr).shape[0] - 1, weight[1]}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const int64_t rows = output.shape[0], width = output.shape[1], in = node.input(3).shape[0];
    const int64_t capacity = node.input(indices).shape[0];
    const Activation activation = activation_from_name(name(), node.attributes.text("activation", ""));
    const bool has_bias = node.count() == 5;
    Routine routine;
    routine.tasks = tasks_for(rows, ceil_div(capacity, std::max<int64_t>(rows, 1)) * width);
    routine.cost = nanoseconds_each * static_cast<double>((capacity + rows) * width);
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [=, tasks = routine.tasks](const Frame& frame, int64_t task) {
        const Range share = part_of(rows, tasks, task);
        for (int64_t i = share.begin; i < share.end; ++i) {
          const Row<T> row("sparse_dense", frame, i, capacity, in);
          kernels::sparse_row(row.columns, row.weights, row.count, frame.input<T>(3),
                              has_bias ? frame.input<T>(4) : nullptr, width, frame.output<T>() + i * width);
        }
        if (activation != Activation::None)
          activate(activation, (share.end - share.begin) * width, frame.output<T>() + share.begin * width);
      };
    });
    return routine;
  }

  int64_t index_bound(const Signature& node, int number) const override {
    return number == indices ? node.input(3).shape[0] : -1;
  }

  ListedRows rows_read(const Signature&, int number) const override {
    return number == 3 ? ListedRows{indices, indptr} : ListedRows{};
  }

  void vjp(Vjp& node) const override {
    if (node.needs(values))
      throw TypeError("sparse_dense: it has no derivative by the values of a sparse matrix");
    const std::string activation = node.attributes().text("activation", "");
    const Value g =
        activation.empty() ? node.seed() : activation_gradient(activation, node.seed(), node.output());
    if (node.needs(3))
      node.set(
          3, apply("sparse_dense_gradient", {node.input(indptr), node.input(indices), node.input(values), g},
                   {{"size", node.input(3).shape()[0]}}));
    if (node.count() == 5 && node.needs(4)) node.set(4, sum(g, {0}));
  }

  Value decompose(const std::vector<Value>& inputs, const Attributes& attributes) const override {
    Value y = apply("sparse_dense", {inputs[0], inputs[1], inputs[2], inputs[3]});
    if (inputs.size() == 5) y = y + inputs[4];
    const std::string activation = attributes.text("activation", "");
    return activation.empty() ? y : apply(activation.c_str(), {y});
  }
};

// Xᵀ·g: output[indices[k], :] += values[k] · g[row of k, :], over zeros, in the order of the elements.
class SparseDenseGradient final : public Op {
 public:
  const char* name() const override { return "sparse_dense_gradient"; }

  // indptr, indices, values, g (rows, out) → (size, out)
  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 4);
    expect_sparse(name(), node);
    expect_same_dtype(name(), node, values, 3);
    const Shape& g = node.input(3).shape;
    const int64_t size = node.attributes.integer("size");
    if (size < 1) throw ValueError(concat(name(), ": size must be at least 1, got ", size));
    if (g.rank() != 2 || g[0] != node.input(indptr).shape[0] - 1)
      throw ValueError(
          concat(name(), ": g of shape ", g, " does not fit indptr of shape ", node.input(indptr).shape));
    return {node.input(values).dtype, {size, g[1]}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const int64_t size = output.shape[0], width = output.shape[1];
    const int64_t rows = node.input(3).shape[0], capacity = node.input(indices).shape[0];
    const bool onto_zeros = node.attributes.flag(over_zeros);
    const int64_t added = capacity * width, zeroed = onto_zeros ? 0 : size * width;
    Routine routine;
    routine.cost = nanoseconds_each * static_cast<double>(added) + 0.25 * static_cast<double>(zeroed);
    // A task takes columns, in whole cache lines, of all elements.
    const int64_t line = 64 / static_cast<int64_t>(size_of(output.dtype)), lines = ceil_div(width, line);
    routine.tasks = std::max<int64_t>(1, std::min({(added + zeroed) / 32768, lines, int64_t{16}}));
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [=, tasks = routine.tasks](const Frame& frame, int64_t task) {
        const Range share = part_of(lines, tasks, task);
        const int64_t begin = share.begin * line, end = std::min(width, share.end * line);
        T* out = frame.output<T>();
        if (!onto_zeros)
          for (int64_t i = 0; i < size; ++i) std::fill(out + i * width + begin, out + i * width + end, T(0));
        for (int64_t i = 0; i < rows; ++i) {
          const Row<T> row("sparse_dense_gradient", frame, i, capacity, size);
          kernels::add_sparse_row(row.columns, row.weights, row.count, frame.input<T>(3) + i * width, width,
                                  begin, end, out);
        }
      };
    });
    return routine;
  }

  int64_t index_bound(const Signature& node, int number) const override {
    return number == indices ? node.attributes.integer("size") : -1;
  }

  ListedRows rows_written(const Signature&) const override { return {indices, indptr}; }

  void vjp(Vjp& node) const override {
    if (node.needs(values))
      throw TypeError("sparse_dense_gradient: it has no derivative by the values of a sparse matrix");
    node.set(
        3, apply("sparse_dense", {node.input(indptr), node.input(indices), node.input(values), node.seed()}));
  }
};

}  // namespace

void add_sparse_ops(OpList& ops) {
  ops.push_back(std::make_unique<SparseDense>());
  ops.push_back(std::make_unique<SparseDenseGradient>());
}

}  // namespace bpcore
