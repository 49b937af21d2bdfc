// attention: scaled dot-product attention (Vaswani et al., 2017) of all heads, and its derivative.
#include "kernels/attention.h"

#include <cmath>
#include <vector>

#include "graph/autodiff.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

constexpr int64_t record_unit = 16;  // parts of a record begin at multiples of it

Shape head_shape(int64_t batch, int64_t rows, int64_t heads, int64_t width) {
  return {batch, rows, heads, width};
}

// What is attended, and where the inputs of both ops stand: q (batch, queries, heads, width), k and v (batch,
// keys, heads, width), or all in one, (batch, time, 3 · heads · width), as one product makes them; then, if
// there are such, a mask that broadcasts to (batch, heads, queries, keys) and lengths (batch).
struct Layout {
  bool packed;
  int mask = -1, lengths = -1;  // numbers of the inputs
  int count;                    // of these inputs
  int64_t batch, queries, keys, heads, width;
  Shape mask_shape;

  Layout(const char* op, const Attributes& attributes, const std::vector<TensorType>& inputs);

  int64_t features() const { return heads * width; }
  int64_t row() const { return packed ? 3 * features() : features(); }  // elements between rows of q, k, v
  int64_t q_elements() const { return batch * queries * features(); }
  int64_t k_elements() const { return batch * keys * features(); }
  Shape out_shape() const { return head_shape(batch, queries, heads, width); }
  Shape sums_shape() const { return {batch, heads, queries}; }
  int64_t sums_offset() const { return round_up(q_elements(), record_unit); }
  int64_t record_size() const { return sums_offset() + round_up(batch * heads * queries, record_unit); }
  // Of the gradients' record: those of q, k and v, or of all in one.
  int64_t k_offset() const { return round_up(q_elements(), record_unit); }
  int64_t v_offset() const { return k_offset() + round_up(k_elements(), record_unit); }
  int64_t gradients_size() const {
    return packed ? round_up(3 * q_elements(), record_unit)
                  : v_offset() + round_up(k_elements(), record_unit);
  }
};

Layout::Layout(const char* op, const Attributes& attributes, const std::vector<TensorType>& inputs)
    : packed(attributes.integer("heads") > 0), count(packed ? 1 : 3) {
  const bool masked = attributes.flag("masked"), limited = attributes.flag("lengths");
  if (masked) mask = count++;
  if (limited) lengths = count++;
  if (static_cast<int>(inputs.size()) < count)
    throw ValueError(concat(op, ": expected ", count, " inputs, got ", inputs.size()));
  const Signature node{inputs, attributes};
  expect_float(op, node, 0);
  const Shape& q = node.input(0).shape;
  if (packed) {
    heads = attributes.integer("heads");
    if (q.rank() != 3 || q.last() == 0 || q.last() % (3 * heads) != 0)
      throw ValueError(concat(op, ": expected shape (batch, time, 3 * ", heads, " * width), got ", q));
    batch = q[0];
    queries = keys = q[1];
    width = q.last() / (3 * heads);
  } else {
    for (int number = 1; number < 3; ++number) expect_same_dtype(op, node, 0, number);
    const Shape &k = node.input(1).shape, &v = node.input(2).shape;
    const bool fits =
        q.rank() == 4 && k.rank() == 4 && k == v && q[0] == k[0] && q[2] == k[2] && q[3] == k[3];
    if (!fits || q[2] == 0 || q[3] == 0)
      throw ValueError(
          concat(op,
                 ": expected q (batch, queries, heads, width), k and v (batch, keys, heads, width), "
                 "heads and width at least 1, got shapes ",
                 q, ", ", k, " and ", v));
    batch = q[0];
    queries = q[1];
    keys = k[1];
    heads = q[2];
    width = q[3];
  }
  if (masked) {
    expect_dtype(op, node, mask, DType::Bool);
    const Shape full{batch, heads, queries, keys};
    const Shape& given = node.input(mask).shape;
    bool fits = given.rank() <= 4;
    for (int axis = 0; fits && axis < given.rank(); ++axis) {
      const int64_t size = full[4 - given.rank() + axis];
      fits = given[axis] == size || given[axis] == 1;
    }
    if (!fits)
      throw ValueError(concat(op, ": a mask of shape ", given,
                              " does not broadcast to (batch, heads, queries, keys) = ", full));
    mask_shape = Shape(std::vector<int64_t>(static_cast<size_t>(4 - given.rank()), 1));
    for (int64_t size : given) mask_shape.append(size);
  }
  if (limited) {
    expect_dtype(op, node, lengths, DType::Int64);
    if (node.input(lengths).shape != Shape{batch})
      throw ValueError(
          concat(op, ": lengths must be of shape (", batch, ",), got ", node.input(lengths).shape));
  }
}

double rate_of(const char* op, const Attributes& attributes) {
  const double rate = attributes.number("rate");
  if (!(rate >= 0 && rate <= 1)) throw ValueError(concat(op, ": rate must lie in [0, 1], got ", rate));
  return rate;
}

kernels::AttentionSizes sizes_of(const Layout& layout, const Attributes& attributes) {
  kernels::AttentionSizes sizes{};
  sizes.queries = layout.queries;
  sizes.keys = layout.keys;
  sizes.width = layout.width;
  sizes.q_stride = sizes.k_stride = sizes.v_stride = layout.row();
  sizes.out_stride = layout.features();
  sizes.scale = attributes.number("scale");
  sizes.causal = attributes.flag("causal");
  const double rate = attributes.number("rate");
  sizes.drops = rate > 0;
  sizes.threshold = static_cast<uint32_t>(std::min(std::round(rate * 0x1p32), 0x1p32 - 1));
  sizes.kept = rate < 1 ? 1 / (1 - rate) : 0;
  if (layout.mask >= 0) {
    const auto strides = strides_of(layout.mask_shape);
    sizes.mask_query = layout.mask_shape[2] == 1 ? 0 : strides[2];
    sizes.mask_key = layout.mask_shape[3] == 1 ? 0 : strides[3];
  }
  return sizes;
}

// Where the rows of one head begin.
struct HeadPlace {
  int64_t batch, head;
  int64_t q, k, out, sums;  // elements
};

HeadPlace place_of(const Layout& layout, int64_t batch, int64_t head) {
  const int64_t column = head * layout.width;
  return {batch,
          head,
          batch * layout.queries * layout.row() + column,
          batch * layout.keys * layout.row() + column,
          batch * layout.queries * layout.features() + column,
          (batch * layout.heads + head) * layout.queries};
}

// What all heads of a routine share, and how to find one's inputs in a frame.
struct Heads {
  Layout layout;
  kernels::AttentionSizes sizes;
  uint64_t stream;
  std::array<int64_t, 2> mask_strides{};  // of batch and head

  Heads(const Layout& layout_, const Attributes& attributes)
      : layout(layout_),
        sizes(sizes_of(layout_, attributes)),
        stream(static_cast<uint64_t>(attributes.integer("stream"))) {
    if (layout.mask < 0) return;
    const auto strides = strides_of(layout.mask_shape);
    for (int axis = 0; axis < 2; ++axis)
      mask_strides[static_cast<size_t>(axis)] =
          layout.mask_shape[axis] == 1 ? 0 : strides[static_cast<size_t>(axis)];
  }

  // False, and the frame's status is told, if the length is no such.
  template <class T>
  bool find(const Frame& frame, const HeadPlace& place, kernels::AttentionHead<T>* head) const {
    const T* first = frame.input<T>(0);
    head->q = first + place.q;
    head->k = (layout.packed ? first + layout.features() : frame.input<T>(1)) + place.k;
    head->v = (layout.packed ? first + 2 * layout.features() : frame.input<T>(2)) + place.k;
    head->keys = layout.keys;
    if (layout.lengths >= 0) {
      const int64_t length = frame.input<int64_t>(layout.lengths)[place.batch];
      if (length < 0 || length > layout.keys) {
        frame.status->wrong_index("attention", length, layout.keys + 1);
        return false;
      }
      head->keys = length;
    }
    head->mask = layout.mask < 0 ? nullptr
                                 : frame.input<Bool>(layout.mask) + place.batch * mask_strides[0] +
                                       place.head * mask_strides[1];
    head->random = frame.key.stream(stream);
    head->first_weight = (place.batch * layout.heads + place.head) * layout.keys * layout.queries;
    return true;
  }

  double scores() const {
    return static_cast<double>(layout.batch * layout.heads * layout.queries) *
           static_cast<double>(layout.keys) * (sizes.causal ? 0.5 : 1);
  }
};

// The plain formula. Its weights are (batch, heads, keys, queries), in whose order dropout counts them.
struct Plain {
  Value out, sums;
};

Value counted(Graph& graph, int64_t count, const Shape& shape) {
  std::vector<int64_t> numbers(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) numbers[static_cast<size_t>(i)] = i;
  return reshape({graph, graph.constant({DType::Int64, {count}}, numbers.data())}, shape);
}

// Which keys are seen, as (batch, heads, keys, queries) or what broadcasts to it; `all` where no rule says
// otherwise.
std::vector<Value> visible(const Layout& layout, const std::vector<Value>& inputs,
                           const Attributes& attributes) {
  Graph& graph = inputs[0].graph();
  std::vector<Value> rules;
  const Value keys = counted(graph, layout.keys, {layout.keys, 1});
  if (layout.mask >= 0)
    rules.push_back(apply("transpose", {reshape(inputs[static_cast<size_t>(layout.mask)], layout.mask_shape)},
                          {{"axes", std::vector<int64_t>{0, 1, 3, 2}}}));
  if (attributes.flag("causal"))
    rules.push_back(apply("less_equal", {keys, counted(graph, layout.queries, {1, layout.queries})}));
  if (layout.lengths >= 0)
    rules.push_back(
        apply("less", {keys, reshape(inputs[static_cast<size_t>(layout.lengths)], {layout.batch, 1, 1, 1})}));
  return rules;
}

Value with_heads_first(Value x) {
  return apply("transpose", {x}, {{"axes", std::vector<int64_t>{0, 2, 1, 3}}});
}

Plain plain_attention(const Layout& layout, const std::vector<Value>& inputs, const Attributes& attributes) {
  Graph& graph = inputs[0].graph();
  const DType dtype = inputs[0].dtype();
  const Shape full{layout.batch, layout.heads, layout.keys, layout.queries};
  if (layout.keys == 0)
    return {zeros(graph, {dtype, layout.out_shape()}),
            broadcast_to({graph, graph.scalar(std::numeric_limits<double>::infinity(), dtype)},
                         layout.sums_shape())};
  const auto part_of_input = [&](int64_t number) {
    if (!layout.packed) return inputs[static_cast<size_t>(number)];
    const Value part = apply("slice", {inputs[0]},
                             {{"start", std::vector<int64_t>{0, 0, number * layout.features()}},
                              {"size", std::vector<int64_t>{layout.batch, layout.queries, layout.features()}},
                              {"step", std::vector<int64_t>{1, 1, 1}}});
    return reshape(part, layout.out_shape());
  };
  const Value q = with_heads_first(part_of_input(0)), k = with_heads_first(part_of_input(1)),
              v = with_heads_first(part_of_input(2));
  const std::vector<int64_t> over_keys{-2};
  Value scores = attributes.number("scale") * apply("matmul", {k, q}, {{"transpose_b", true}});
  std::vector<Value> rules = visible(layout, inputs, attributes);
  const Value lowest = scores.scalar(-1e30), none = scores.scalar(0);
  for (const Value& rule : rules) scores = where(rule, scores, lowest);
  Value weights = apply("softmax", {scores}, {{"axis", int64_t{-2}}});
  for (const Value& rule : rules) weights = where(rule, weights, none);
  if (attributes.number("rate") > 0)
    weights = apply("dropout", {weights},
                    {{"rate", attributes.number("rate")}, {"stream", attributes.integer("stream")}});
  const Value out = with_heads_first(apply("matmul", {weights, v}, {{"transpose_a", true}}));
  const Value largest =
      apply("stop_gradient", {apply("max", {scores}, {{"axes", over_keys}, {"keepdims", true}})});
  const Value total = largest + apply("log", {sum(apply("exp", {scores - largest}), over_keys, true)});
  const Value infinite = scores.scalar(std::numeric_limits<double>::infinity());
  return {out, reshape(where(largest > lowest, total, infinite), layout.sums_shape())};
}

// The values as one record, each followed by zeros up to a multiple of the unit.
Value as_record(const std::vector<Value>& values) {
  std::vector<Value> pieces;
  for (const Value& value : values) {
    const int64_t count = value.shape().elements(), gap = round_up(count, record_unit) - count;
    pieces.push_back(reshape(value, {count}));
    if (gap > 0) pieces.push_back(zeros(value.graph(), {value.dtype(), {gap}}));
  }
  return apply("concatenate", pieces, {{"axis", int64_t{0}}});
}

// The elements of a record behind a part, which no task of its own writes.
template <class T>
void clear_gap(T* record, int64_t begin) {
  std::fill(record + begin, record + round_up(begin, record_unit), T(0));
}

// Inputs as Layout says → record of out (batch, queries, heads, width) and the logarithms of the sums of
// exponentials (batch, heads, queries). A query that sees no key gets zeros, and infinity.
class Attention final : public Op {
 public:
  const char* name() const override { return "attention"; }

  TensorType infer(const Signature& node) const override {
    const Layout layout(name(), node.attributes, node.inputs);
    expect_inputs(name(), node, layout.count);
    rate_of(name(), node.attributes);
    return {node.input(0).dtype, Shape{layout.record_size()}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Heads heads(Layout(name(), node.attributes, node.inputs), node.attributes);
    const Layout& layout = heads.layout;
    const int64_t blocks = ceil_div(layout.queries, kernels::attention_block);
    const int64_t pieces = layout.batch * blocks * layout.heads;
    Routine routine;
    routine.tasks = tasks_for(pieces, kernels::attention_block * layout.keys * layout.width, 1 << 18);
    routine.cost = heads.scores() * (0.5 + 0.02 * static_cast<double>(layout.width));
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.scratch_bytes =
          kernels::Attention<T>::forward_scratch(layout.width) * static_cast<int64_t>(sizeof(T));
      routine.run = [=, tasks = routine.tasks](const Frame& frame, int64_t task) {
        const Layout& l = heads.layout;
        T* out = frame.output<T>();
        T* sums = out + l.sums_offset();
        if (task == 0) {
          clear_gap(out, l.q_elements());
          clear_gap(sums, l.batch * l.heads * l.queries);
        }
        const Range share = part_of(pieces, tasks, task);
        for (int64_t piece = share.begin; piece < share.end; ++piece) {
          const int64_t part = piece / l.heads;
          const HeadPlace place = place_of(l, part / blocks, piece % l.heads);
          kernels::AttentionHead<T> head;
          if (!heads.find(frame, place, &head)) return;
          kernels::Attention<T>(heads.sizes, head, reinterpret_cast<T*>(frame.scratch))
              .attend(part % blocks * kernels::attention_block, out + place.out, sums + place.sums);
        }
      };
    });
    return routine;
  }

  int64_t index_bound(const Signature& node, int number) const override {
    const Layout layout(name(), node.attributes, node.inputs);
    return number == layout.lengths ? layout.keys + 1 : -1;
  }

  void vjp(Vjp& node) const override {
    std::vector<Value> inputs;
    std::vector<TensorType> types;
    for (int number = 0; number < node.count(); ++number) {
      inputs.push_back(node.input(number));
      types.push_back(inputs.back().type());
    }
    const Layout layout(name(), node.attributes(), types);
    // Only the second derivative asks for that of the sums.
    if (!node.graph().is_zero(part(node.seed(), layout.sums_offset(), layout.sums_shape()).id()))
      return Op::vjp(node);
    inputs.push_back(part(node.output(), 0, layout.out_shape()));
    inputs.push_back(part(node.output(), layout.sums_offset(), layout.sums_shape()));
    inputs.push_back(part(node.seed(), 0, layout.out_shape()));
    const Value gradients = apply("attention_grad", inputs, node.attributes());
    if (layout.packed) return node.set(0, part(gradients, 0, types[0].shape));
    node.set(0, part(gradients, 0, types[0].shape));
    node.set(1, part(gradients, layout.k_offset(), types[1].shape));
    node.set(2, part(gradients, layout.v_offset(), types[2].shape));
  }

  Value decompose(const std::vector<Value>& inputs, const Attributes& attributes) const override {
    std::vector<TensorType> types;
    for (const Value& input : inputs) types.push_back(input.type());
    const Plain plain = plain_attention(Layout(name(), attributes, types), inputs, attributes);
    return as_record({plain.out, plain.sums});
  }
};

// Inputs of `attention`, then out, sums and the gradient with respect to out → record of the gradients of q,
// k and v, or of all in one. Out and sums are those that `attention` makes of the same inputs: the second
// derivative takes them as functions of q, k and v.
class AttentionGrad final : public Op {
 public:
  const char* name() const override { return "attention_grad"; }

  TensorType infer(const Signature& node) const override {
    const Layout layout(name(), node.attributes, node.inputs);
    expect_inputs(name(), node, layout.count + 3);
    for (int number = 0; number < 3; ++number) {
      expect_same_dtype(name(), node, 0, layout.count + number);
      const Shape &shape = node.input(layout.count + number).shape,
                  expected = number == 1 ? layout.sums_shape() : layout.out_shape();
      if (shape != expected)
        throw ValueError(concat(name(), ": input ", layout.count + number, " must be of shape ", expected,
                                ", got ", shape));
    }
    rate_of(name(), node.attributes);
    return {node.input(0).dtype, Shape{layout.gradients_size()}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Heads heads(Layout(name(), node.attributes, node.inputs), node.attributes);
    const Layout& layout = heads.layout;
    const int64_t pieces = layout.batch * layout.heads;
    Routine routine;
    routine.tasks = tasks_for(pieces, layout.queries * layout.keys * layout.width, 1 << 17);
    routine.cost = heads.scores() * (0.5 + 0.05 * static_cast<double>(layout.width));
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.scratch_bytes =
          kernels::Attention<T>::backward_scratch(layout.width) * static_cast<int64_t>(sizeof(T));
      routine.run = [=, tasks = routine.tasks](const Frame& frame, int64_t task) {
        const Layout& l = heads.layout;
        T* record = frame.output<T>();
        T* dq = record;
        T* dk = record + (l.packed ? l.features() : l.k_offset());
        T* dv = record + (l.packed ? 2 * l.features() : l.v_offset());
        if (task == 0) {
          clear_gap(record, l.packed ? 3 * l.q_elements() : l.q_elements());
          if (!l.packed) {
            clear_gap(dk, l.k_elements());
            clear_gap(dv, l.k_elements());
          }
        }
        const Range share = part_of(pieces, tasks, task);
        for (int64_t piece = share.begin; piece < share.end; ++piece) {
          const HeadPlace place = place_of(l, piece / l.heads, piece % l.heads);
          kernels::AttentionHead<T> head;
          if (!heads.find(frame, place, &head)) return;
          kernels::Attention<T>(heads.sizes, head, reinterpret_cast<T*>(frame.scratch))
              .differentiate(frame.input<T>(l.count) + place.out, frame.input<T>(l.count + 1) + place.sums,
                             frame.input<T>(l.count + 2) + place.out, dq + place.q, dk + place.k,
                             dv + place.k);
        }
      };
    });
    return routine;
  }

  int64_t index_bound(const Signature& node, int number) const override {
    const Layout layout(name(), node.attributes, node.inputs);
    return number == layout.lengths ? layout.keys + 1 : -1;
  }

  Value decompose(const std::vector<Value>& inputs, const Attributes& attributes) const override {
    std::vector<TensorType> types;
    for (const Value& input : inputs) types.push_back(input.type());
    const Layout layout(name(), attributes, types);
    std::vector<Value> fresh(inputs.begin(), inputs.begin() + layout.count);
    std::vector<NodeId> wrt;
    Graph& graph = inputs[0].graph();
    for (size_t number = 0; number < (layout.packed ? 1u : 3u); ++number) {
      fresh[number] = {graph, graph.fresh(inputs[number].id())};
      wrt.push_back(fresh[number].id());
    }
    const Plain plain = plain_attention(layout, fresh, attributes);
    std::vector<Value> found;
    for (NodeId id : gradients(graph, plain.out.id(), wrt, inputs.back().id())) found.emplace_back(graph, id);
    return as_record(found);
  }
};

}  // namespace

void add_attention_ops(OpList& ops) {
  ops.push_back(std::make_unique<Attention>());
  ops.push_back(std::make_unique<AttentionGrad>());
}

}  // namespace bpcore
