// matmul: NumPy's matrix product, batched and broadcasting, with either factor read transposed.
#include "kernels/loops.h"

#include "graph/autodiff.h"
#include "ops/op_list.h"
#include "ops/products/product.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

// Of the last two axes.
kernels::GemmShape matrix_shape(const Signature& node) {
  const Shape &a = node.input(0).shape, &b = node.input(1).shape;
  if (a.rank() < 2 || b.rank() < 2)
    throw ValueError(concat("matmul: shapes ", a, " and ", b, " must have at least two axes"));
  const bool transpose_a = node.attributes.flag("transpose_a"),
             transpose_b = node.attributes.flag("transpose_b");
  const int64_t a_rows = a[a.rank() - 2], a_columns = a.last(), b_rows = b[b.rank() - 2],
                b_columns = b.last();
  const int64_t n = transpose_b ? b_rows : b_columns;
  const kernels::GemmShape shape{transpose_a ? a_columns : a_rows,
                                 n,
                                 transpose_a ? a_rows : a_columns,
                                 transpose_a,
                                 transpose_b,
                                 a_columns,
                                 b_columns,
                                 n};
  if (shape.k != (transpose_b ? b_columns : b_rows))
    throw ValueError(concat("matmul: shapes ", a, transpose_a ? " transposed" : "", " and ", b,
                            transpose_b ? " transposed" : "", " do not fit together"));
  return shape;
}

Shape batch_of(const Shape& shape) { return shape.head(shape.rank() - 2); }

Value product(Value a, bool transpose_a, Value b, bool transpose_b) {
  return apply("matmul", {a, b}, {{"transpose_a", transpose_a}, {"transpose_b", transpose_b}});
}

class Matmul final : public Op {
 public:
  const char* name() const override { return "matmul"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 2);
    expect_float(name(), node, 0);
    expect_same_dtype(name(), node, 0, 1);
    const kernels::GemmShape matrices = matrix_shape(node);
    Shape result = broadcast(name(), batch_of(node.input(0).shape), batch_of(node.input(1).shape));
    result.append(matrices.m);
    result.append(matrices.n);
    return {node.input(0).dtype, result};
  }

  // A third input, of the output's shape, is given by passes only: with the attribute then = "add" it is
  // added to the product, with "relu_gradient" it is the y of relu_gradient(product, y).
  Routine compile(const Signature& node, const TensorType& output) const override {
    const kernels::GemmShape shape = matrix_shape(node);
    Routine routine;
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      if (output.shape.elements() == shape.m * shape.n)
        compile_single<T>(routine, shape, node.attributes.text("then", ""));
      else
        compile_batched<T>(routine, shape, node, output);
    });
    routine.cost = product_cost(output.shape.elements(), 1, shape.k);
    return routine;
  }

  // C = op(A)·op(B): the gradient of op(A) is G·op(B)ᵀ, that of op(B) is op(A)ᵀ·G; of A itself, transposed
  // again.
  void vjp(Vjp& node) const override {
    const bool ta = node.attributes().flag("transpose_a"), tb = node.attributes().flag("transpose_b");
    const Value a = node.input(0), b = node.input(1), g = node.seed();
    if (node.needs(0)) node.set(0, ta ? product(b, tb, g, true) : product(g, false, b, !tb));
    if (node.needs(1)) node.set(1, tb ? product(g, true, a, ta) : product(a, !ta, g, false));
  }

 private:
  template <class T>
  static void compile_single(Routine& routine, kernels::GemmShape shape, const std::string& then) {
    // Aᵀ times a column is the column, lying, times A: what is read in steps is then read in rows.
    const bool swapped = shape.n == 1 && shape.transpose_a;
    if (swapped) shape = {1, shape.m, shape.k, false, false, shape.k, shape.lda, shape.m};
    const bool adds = then == "add", has_where = then == "relu_gradient";
    run_product<T>(routine, shape, [=](const kernels::Gemm<T>& gemm, const Frame& frame, int64_t task) {
      kernels::Epilogue<T> epilogue;
      if (adds) epilogue.plus = frame.input<T>(2);
      if (has_where) epilogue.where = frame.input<T>(2);
      gemm.run(task, frame.input<T>(swapped ? 1 : 0), frame.input<T>(swapped ? 0 : 1), frame.output<T>(),
               epilogue, reinterpret_cast<T*>(frame.scratch));
    });
  }

  template <class T>
  static void compile_batched(Routine& routine, const kernels::GemmShape& shape, const Signature& node,
                              const TensorType& output) {
    const auto batches = kernels::broadcast_walk<2>(
        batch_of(output.shape), {batch_of(node.input(0).shape), batch_of(node.input(1).shape)});
    const kernels::Gemm<T> gemm(shape, 8);
    // Small products are taken several to a task.
    const int64_t pieces = batches.elements * gemm.tasks();
    routine.tasks = gemm.tasks() > 1 ? pieces : tasks_for(pieces, shape.m * shape.n * shape.k, 1 << 18);
    routine.scratch_bytes = gemm.scratch_elements() * static_cast<int64_t>(sizeof(T));
    routine.run = [=, tasks = routine.tasks](const Frame& frame, int64_t task) {
      const Range share = part_of(pieces, tasks, task);
      for (int64_t piece = share.begin; piece < share.end; ++piece) {
        const int64_t batch = piece / gemm.tasks();
        batches.runs({batch, batch + 1}, [&](int64_t, const std::array<int64_t, 2>& offset, int64_t) {
          gemm.run(piece % gemm.tasks(), frame.input<T>(0) + offset[0] * shape.m * shape.k,
                   frame.input<T>(1) + offset[1] * shape.k * shape.n,
                   frame.output<T>() + batch * shape.m * shape.n, {}, reinterpret_cast<T*>(frame.scratch));
        });
      }
    };
  }
};

}  // namespace

void add_matmul_ops(OpList& ops) { ops.push_back(std::make_unique<Matmul>()); }

}  // namespace bpcore
