// Fused losses: cross_entropy, binary_cross_entropy, squared_error. Each gives a loss per row or element.
#include "graph/autodiff.h"
#include "kernels/elementwise.h"
#include "kernels/softmax.h"
#include "ops/elementwise/elementwise.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

Value one_hot_like(Value labels, Value logits) {
  return apply("one_hot", {labels},
               {{"depth", logits.shape().last()}, {"dtype", std::string(name_of(logits.dtype()))}});
}

void expect_logits_and_labels(const char* op, const Signature& node) {
  expect_float(op, node, 0);
  expect_dtype(op, node, 1, DType::Int64);
  const Shape &logits = node.input(0).shape, &labels = node.input(1).shape;
  if (logits.rank() == 0 || logits.last() == 0 || logits.head(logits.rank() - 1) != labels)
    throw ValueError(concat(op, ": logits of shape ", logits, " need labels of shape ",
                            logits.rank() == 0 ? Shape{} : logits.head(logits.rank() - 1), ", got ", labels));
}

// Whether input 1, the labels, is within [0, classes) for these rows; tells the frame's status if not.
bool labels_are_within(const Frame& frame, Range rows, int64_t classes) {
  bool within = true;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    const int64_t label = frame.input<int64_t>(1)[row];
    if (label >= 0 && label < classes) continue;
    frame.status->wrong_index("cross_entropy", label, classes);
    within = false;
  }
  return within;
}

// logits (..., C), labels (...) → log Σ exp(logits) - logits[label]
class CrossEntropy final : public Op {
 public:
  const char* name() const override { return "cross_entropy"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 2);
    expect_logits_and_labels(name(), node);
    return {node.input(0).dtype, node.input(1).shape};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const int64_t rows = output.shape.elements(), classes = node.input(0).shape.last();
    Routine routine;
    routine.tasks = tasks_for(rows, classes);
    routine.cost = 0.4 * static_cast<double>(rows * classes) + 8.0 * static_cast<double>(rows);
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [rows, classes, tasks = routine.tasks](const Frame& frame, int64_t task) {
        const Range share = part_of(rows, tasks, task);
        if (!labels_are_within(frame, share, classes)) return;
        for (int64_t first = share.begin; first < share.end; first += kernels::log_sum_exp_block) {
          const int64_t size = std::min(kernels::log_sum_exp_block, share.end - first);
          const T* logits = frame.input<T>(0) + first * classes;
          const int64_t* labels = frame.input<int64_t>(1) + first;
          const kernels::LogSumExp<T> sum(logits, size, classes);
          for (int64_t i = 0; i < size; ++i)
            frame.output<T>()[first + i] = sum.largest[i] - logits[i * classes + labels[i]] + sum.rest[i];
        }
      };
    });
    return routine;
  }

  int64_t index_bound(const Signature& node, int number) const override {
    return number == 1 ? node.input(0).shape.last() : -1;
  }

  void vjp(Vjp& node) const override {
    node.set(0, apply("cross_entropy_gradient", {node.input(0), node.input(1), node.seed()}));
  }

  Value decompose(const std::vector<Value>& inputs, const Attributes&) const override {
    const Value scores = apply("log_softmax", {inputs[0]}, {{"axis", int64_t{-1}}});
    return sum(one_hot_like(inputs[1], inputs[0]) * -scores, {-1});  // -sum would become cross_entropy again
  }
};

// logits (..., C), labels (...), seed (...) → (softmax(logits) - one_hot(labels)) · seed
class CrossEntropyGradient final : public Op {
 public:
  const char* name() const override { return "cross_entropy_gradient"; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 3);
    expect_logits_and_labels(name(), node);
    expect_same_dtype(name(), node, 0, 2);
    if (node.input(2).shape != node.input(1).shape)
      throw ValueError(
          concat(name(), ": seed of shape ", node.input(2).shape, " for labels of ", node.input(1).shape));
    return node.input(0);
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const int64_t rows = node.input(1).shape.elements(), classes = output.shape.last();
    Routine routine;
    routine.tasks = tasks_for(rows, classes);
    routine.cost = 0.6 * static_cast<double>(rows * classes) + 8.0 * static_cast<double>(rows);
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.run = [rows, classes, tasks = routine.tasks](const Frame& frame, int64_t task) {
        const Range share = part_of(rows, tasks, task);
        if (!labels_are_within(frame, share, classes)) return;
        kernels::cross_entropy_gradient_rows(frame.input<T>(0) + share.begin * classes,
                                             frame.input<int64_t>(1) + share.begin,
                                             frame.input<T>(2) + share.begin, share.end - share.begin,
                                             classes, frame.output<T>() + share.begin * classes);
      };
    });
    return routine;
  }

  Value decompose(const std::vector<Value>& inputs, const Attributes&) const override {
    const Value scores = apply("softmax", {inputs[0]}, {{"axis", int64_t{-1}}});
    return (scores - one_hot_like(inputs[1], inputs[0])) * with_last_axis(inputs[2]);
  }
};

// Elementwise losses of two arrays of one shape.
template <class Rule>
class ElementwiseLoss final : public ElementwiseOp {
 public:
  const char* name() const override { return Rule::name; }

  TensorType infer(const Signature& node) const override {
    expect_inputs(name(), node, 2);
    expect_float(name(), node, 0);
    expect_same_dtype(name(), node, 0, 1);
    if (node.input(0).shape != node.input(1).shape)
      throw ValueError(concat(name(), ": prediction of shape ", node.input(0).shape, " and target of shape ",
                              node.input(1).shape, " must be of one shape"));
    return node.input(0);
  }

  ElementLoop element_loop(const Signature&, const TensorType& output) const override {
    ElementLoop loop{nullptr, Rule::nanoseconds};
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      loop.run = [](int64_t count, void* out, const void* const* inputs, const bool*) {
        Rule::run(count, static_cast<const T*>(inputs[0]), static_cast<const T*>(inputs[1]),
                  static_cast<T*>(out));
      };
    });
    return loop;
  }

  void vjp(Vjp& node) const override { Rule::vjp(node); }

  Value decompose(const std::vector<Value>& inputs, const Attributes&) const override {
    return Rule::decompose(inputs[0], inputs[1]);
  }
};

// max(x, 0) - x·t + log(1 + exp(-|x|)) for logits x: -t·log σ(x) - (1-t)·log(1-σ(x)) without overflow. The
// first two terms are computed as x · ([x > 0] - t), since their difference would lose the digits of a small
// loss.
struct BinaryCrossEntropy {
  static constexpr const char* name = "binary_cross_entropy";
  static constexpr double nanoseconds = 1.0;

  template <class T>
  static void run(int64_t count, const T* logits, const T* targets, T* out) {
    kernels::map_vectors<T>(count, logits, out, [](kernels::simd::Vec<T> x) {
      return kernels::logarithm_of_one_to_two<T>(kernels::exponential<T>(-kernels::simd::absolute<T>(x)));
    });
    for (int64_t i = 0; i < count; ++i) out[i] += logits[i] * ((logits[i] > T(0) ? T(1) : T(0)) - targets[i]);
  }

  static void vjp(Vjp& node) {
    const Value x = node.input(0), target = node.input(1), seed = node.seed();
    if (node.needs(0)) node.set(0, (apply("sigmoid", {x}) - target) * seed);
    if (node.needs(1)) node.set(1, -(x * seed));
  }

  static Value decompose(Value x, Value target) {
    const Value decay = apply("exp", {-apply("abs", {x})});
    return apply("maximum", {x, x.scalar(0)}) - x * target + apply("log", {1.0 + decay});
  }
};

// (p - t)²
struct SquaredError {
  static constexpr const char* name = "squared_error";
  static constexpr double nanoseconds = 0.3;

  template <class T>
  static void run(int64_t count, const T* prediction, const T* target, T* __restrict out) {
    for (int64_t i = 0; i < count; ++i) {
      const T difference = prediction[i] - target[i];
      out[i] = difference * difference;
    }
  }

  static void vjp(Vjp& node) {
    const Value slope = 2.0 * node.seed() * (node.input(0) - node.input(1));
    node.set(0, slope);
    if (node.needs(1)) node.set(1, -slope);
  }

  static Value decompose(Value prediction, Value target) {
    return (prediction - target) * (prediction - target);
  }
};

}  // namespace

void add_loss_ops(OpList& ops) {
  ops.push_back(std::make_unique<CrossEntropy>());
  ops.push_back(std::make_unique<CrossEntropyGradient>());
  ops.push_back(std::make_unique<ElementwiseLoss<BinaryCrossEntropy>>());
  ops.push_back(std::make_unique<ElementwiseLoss<SquaredError>>());
}

}  // namespace bpcore
