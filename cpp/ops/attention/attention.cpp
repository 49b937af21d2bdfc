// attention: scaled dot-product attention (Vaswani et al., 2017) of all heads, and its derivative.
#include "kernels/attention.h"

#include <array>
#include <cmath>
#include <initializer_list>
#include <vector>

#include "graph/autodiff.h"
#include "ops/attention/attention.h"
#include "ops/op_list.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

double rate_of(const char* op, const Attributes& attributes) {
  const double rate = attributes.number("rate");
  if (!(rate >= 0 && rate <= 1)) throw ValueError(concat(op, ": rate must lie in [0, 1], got ", rate));
  return rate;
}

kernels::AttentionSizes sizes_of(const AttentionLayout& layout, const Attributes& attributes) {
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

HeadPlace place_of(const AttentionLayout& layout, int64_t batch, int64_t head) {
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
  AttentionLayout layout;
  kernels::AttentionSizes sizes;
  uint64_t stream;
  std::array<int64_t, 2> mask_strides{};  // of batch and head

  Heads(const AttentionLayout& layout_, const Attributes& attributes)
      : layout(layout_),
        sizes(sizes_of(layout_, attributes)),
        stream(static_cast<uint64_t>(attributes.integer("stream"))) {
    if (layout.mask < 0) return;
    const auto strides = strides_of(layout.mask_shape);
    for (int axis = 0; axis < 2; ++axis)
      mask_strides[static_cast<size_t>(axis)] =
          layout.mask_shape[axis] == 1 ? 0 : strides[static_cast<size_t>(axis)];
  }

  // q, k and v of the first batch and head.
  template <class T>
  std::array<const T*, 3> inputs(const Frame& frame) const {
    const T* first = frame.input<T>(0);
    if (layout.packed) return {first, first + layout.features(), first + 2 * layout.features()};
    return {first, frame.input<T>(1), frame.input<T>(2)};
  }

  // False, and the frame's status is told, if the length is no such.
  template <class T>
  bool find(const Frame& frame, const HeadPlace& place, kernels::AttentionHead<T>* head) const {
    const auto [q, k, v] = inputs<T>(frame);
    head->q = q + place.q;
    head->k = k + place.k;
    head->v = v + place.k;
    head->keys = layout.keys;
    if (layout.lengths >= 0) {
      const int64_t length = frame.input<int64_t>(layout.lengths)[place.batch];
      if (length < 0 || length > layout.keys) {
        frame.status->wrong_length("attention", length, 0, layout.keys);
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

// What is fetched while a piece of a batch is computed: its share of what the same pieces of the next batch
// will read and write, unless all that is too much to wait in a level-2 cache.
template <class T>
class NextBatch {
 public:
  using Fetch = kernels::Fetch<kernels::FetchBy::Prefetch>;

  // `passes`: how often a routine reads or writes q, k, v and out; `products` of a piece.
  NextBatch(const AttentionLayout& layout, int passes, int products)
      : layout_(layout),
        wanted_(passes * (2 * layout.q_elements() + 2 * layout.k_elements()) *
                    static_cast<int64_t>(sizeof(T)) <=
                layout.batch * most_bytes),
        steps_(products * kernels::Attention<T>::panels_of_product(layout.queries, layout.keys)) {}

  // Part `part` of `parts`, from the first batches of arrays of (queries, heads, width), and of three arrays
  // like the op's first inputs.
  Fetch fetch(int64_t batch, int64_t part, int64_t parts, std::initializer_list<const T*> by_query,
              std::initializer_list<std::array<const T*, 3>> inputs) const {
    Fetch fetch(steps_);
    if (!wanted_ || batch + 1 == layout_.batch) return fetch;
    const auto add = [&](const T* first, int64_t elements) {
      fetch.add(kernels::Wanted<T>{first + (batch + 1) * elements, elements}, part, parts);
    };
    for (const T* first : by_query) add(first, layout_.queries * layout_.features());
    for (const auto& [q, k, v] : inputs) {
      add(q, layout_.queries * layout_.row());
      if (layout_.packed) continue;
      add(k, layout_.keys * layout_.row());
      add(v, layout_.keys * layout_.row());
    }
    return fetch;
  }

 private:
  static constexpr int64_t most_bytes = 512 << 10;
  AttentionLayout layout_;
  bool wanted_;
  int64_t steps_;
};

// Inputs as AttentionLayout says → record of out (batch, queries, heads, width) and the logarithms of the
// sums of exponentials (batch, heads, queries). A query that sees no key gets zeros, and infinity.
class Attention final : public Op {
 public:
  const char* name() const override { return "attention"; }

  TensorType infer(const Signature& node) const override {
    const AttentionLayout layout(name(), node.attributes, node.inputs);
    expect_inputs(name(), node, layout.count);
    rate_of(name(), node.attributes);
    return {node.input(0).dtype, Shape{layout.record_size()}};
  }

  Routine compile(const Signature& node, const TensorType& output) const override {
    const Heads heads(AttentionLayout(name(), node.attributes, node.inputs), node.attributes);
    const AttentionLayout& layout = heads.layout;
    const int64_t blocks = ceil_div(layout.queries, kernels::attention_block);
    const int64_t pieces = layout.batch * blocks * layout.heads;
    Routine routine;
    routine.tasks = tasks_for(pieces, kernels::attention_block * layout.keys * layout.width, 1 << 18);
    routine.cost = heads.scores() * (0.5 + 0.02 * static_cast<double>(layout.width));
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.scratch_bytes =
          kernels::Attention<T>::forward_scratch(layout.width) * static_cast<int64_t>(sizeof(T));
      const NextBatch<T> next(layout, 1, 2);
      routine.run = [=, tasks = routine.tasks](const Frame& frame, int64_t task) {
        const AttentionLayout& l = heads.layout;
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
          auto fetch = next.fetch(place.batch, piece % (blocks * l.heads), blocks * l.heads, {out},
                                  {heads.inputs<T>(frame)});
          kernels::Attention<T>(heads.sizes, head, fetch, reinterpret_cast<T*>(frame.scratch))
              .attend(part % blocks * kernels::attention_block, out + place.out, sums + place.sums);
        }
      };
    });
    return routine;
  }

  int64_t index_bound(const Signature& node, int number) const override {
    const AttentionLayout layout(name(), node.attributes, node.inputs);
    return number == layout.lengths ? layout.keys + 1 : -1;
  }

  void vjp(Vjp& node) const override {
    std::vector<Value> inputs;
    std::vector<TensorType> types;
    for (int number = 0; number < node.count(); ++number) {
      inputs.push_back(node.input(number));
      types.push_back(inputs.back().type());
    }
    const AttentionLayout layout(name(), node.attributes(), types);
    // Only the second derivative asks for that of the sums.
    if (!node.graph().is_zero(part(node.seed(), layout.sums_offset(), layout.sums_shape()).id()))
      return Op::vjp(node);
    inputs.push_back(part(node.output(), 0, layout.out_shape()));
    inputs.push_back(part(node.output(), layout.sums_offset(), layout.sums_shape()));
    inputs.push_back(part(node.seed(), 0, layout.out_shape()));
    const Value gradients = apply("attention_gradient", inputs, node.attributes());
    if (layout.packed) return node.set(0, part(gradients, 0, types[0].shape));
    node.set(0, part(gradients, 0, types[0].shape));
    node.set(1, part(gradients, layout.k_offset(), types[1].shape));
    node.set(2, part(gradients, layout.v_offset(), types[2].shape));
  }

  Value decompose(const std::vector<Value>& inputs, const Attributes& attributes) const override {
    std::vector<TensorType> types;
    for (const Value& input : inputs) types.push_back(input.type());
    const PlainAttention plain =
        plain_attention(AttentionLayout(name(), attributes, types), inputs, attributes);
    return as_record({plain.out, plain.sums});
  }
};

// Inputs of `attention`, then out, sums and the gradient with respect to out → record of the gradients of q,
// k and v, or of all in one. Out and sums are those that `attention` makes of the same inputs: the second
// derivative takes them as functions of q, k and v.
class AttentionGradient final : public Op {
 public:
  const char* name() const override { return "attention_gradient"; }

  TensorType infer(const Signature& node) const override {
    const AttentionLayout layout(name(), node.attributes, node.inputs);
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
    const Heads heads(AttentionLayout(name(), node.attributes, node.inputs), node.attributes);
    const AttentionLayout& layout = heads.layout;
    const int64_t pieces = layout.batch * layout.heads;
    Routine routine;
    routine.tasks = tasks_for(pieces, layout.queries * layout.keys * layout.width, 1 << 17);
    routine.cost = heads.scores() * (0.5 + 0.05 * static_cast<double>(layout.width));
    with_float(output.dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      routine.scratch_bytes =
          kernels::Attention<T>::backward_scratch(layout.width) * static_cast<int64_t>(sizeof(T));
      const NextBatch<T> next(layout, 2, 5);
      routine.run = [=, tasks = routine.tasks](const Frame& frame, int64_t task) {
        const AttentionLayout& l = heads.layout;
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
          const T *attended = frame.input<T>(l.count), *seed = frame.input<T>(l.count + 2);
          auto fetch = next.fetch(place.batch, place.head, l.heads, {attended, seed},
                                  {heads.inputs<T>(frame), {dq, dk, dv}});
          kernels::Attention<T>(heads.sizes, head, fetch, reinterpret_cast<T*>(frame.scratch))
              .differentiate(attended + place.out, frame.input<T>(l.count + 1) + place.sums, seed + place.out,
                             dq + place.q, dk + place.k, dv + place.k);
        }
      };
    });
    return routine;
  }

  int64_t index_bound(const Signature& node, int number) const override {
    const AttentionLayout layout(name(), node.attributes, node.inputs);
    return number == layout.lengths ? layout.keys + 1 : -1;
  }

  Value decompose(const std::vector<Value>& inputs, const Attributes& attributes) const override {
    std::vector<TensorType> types;
    for (const Value& input : inputs) types.push_back(input.type());
    const AttentionLayout layout(name(), attributes, types);
    std::vector<Value> fresh(inputs.begin(), inputs.begin() + layout.count);
    std::vector<NodeId> wrt;
    Graph& graph = inputs[0].graph();
    for (size_t number = 0; number < (layout.packed ? 1u : 3u); ++number) {
      fresh[number] = {graph, graph.fresh(inputs[number].id())};
      wrt.push_back(fresh[number].id());
    }
    const PlainAttention plain = plain_attention(layout, fresh, attributes);
    std::vector<Value> found;
    for (NodeId id : gradients(graph, plain.out.id(), wrt, inputs.back().id())) found.emplace_back(graph, id);
    return as_record(found);
  }
};

}  // namespace

void add_attention_ops(OpList& ops) {
  ops.push_back(std::make_unique<Attention>());
  ops.push_back(std::make_unique<AttentionGradient>());
}

}  // namespace bpcore
