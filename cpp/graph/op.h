// What an op is: a shape rule, a forward routine and a derivative, side by side in one class.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/rng.h"
#include "core/shape.h"
#include "graph/attributes.h"

namespace bpcore {

class Vjp;
class Value;

struct TensorType {
  DType dtype;
  Shape shape;

  int64_t bytes() const { return shape.elements() * static_cast<int64_t>(size_of(dtype)); }
  bool operator==(const TensorType& other) const { return dtype == other.dtype && shape == other.shape; }
};

// The first wrong index or length that a kernel met. Kernels never throw: they note it here, skip the
// element, and the run ends with an error before anything is updated.
class Status {
 public:
  // An index that is not in [0, bound).
  void wrong_index(const char* op, int64_t value, int64_t bound) { note(op, "index", value, 0, bound - 1); }
  // A length that is not in [least, most].
  void wrong_length(const char* op, int64_t value, int64_t least, int64_t most) {
    note(op, "length", value, least, most);
  }
  bool ok() const { return !claimed_.load(); }
  void reset() { claimed_.store(false); }
  std::string message() const;

 private:
  void note(const char* op, const char* what, int64_t value, int64_t least, int64_t most) {
    if (claimed_.exchange(true)) return;
    op_ = op;
    what_ = what;
    value_ = value;
    least_ = least;
    most_ = most;
  }

  std::atomic<bool> claimed_{false};
  const char* op_ = "";
  const char* what_ = "";
  int64_t value_ = 0, least_ = 0, most_ = 0;
};

// What a routine sees of one run.
struct Frame {
  void* const* operands;  // the output, then the inputs
  char* scratch;          // this thread's, 64-byte aligned, of the size that the routine asked for
  Status* status;
  RunKey key;

  template <class T>
  T* output() const {
    return static_cast<T*>(operands[0]);
  }
  template <class T>
  const T* input(int number) const {
    return static_cast<const T*>(operands[1 + number]);
  }
};

// Work cut into independent pieces.
struct Work {
  std::function<void(const Frame&, int64_t task)> run;
  int64_t tasks = 1;
};

// A compiled op: it knows its sizes, holds no pointer and may be run by many callers at once. The cut depends
// on shapes alone, so that results don't depend on who runs which task.
struct Routine : Work {
  Work alone,
      pair;         // coarser cuts with the same bits, for one thread and for two; set where they are faster
  double cost = 0;  // rough nanoseconds on one core, for choosing the number of threads
  int64_t scratch_bytes = 0;

  const Work& for_team(int size) const {
    return size == 1 && alone.run ? alone : size <= 2 && pair.run ? pair : *this;
  }
};

// A node as its op sees it.
struct Signature {
  std::vector<TensorType> inputs;
  const Attributes& attributes;

  const TensorType& input(int number) const { return inputs[static_cast<size_t>(number)]; }
  int count() const { return static_cast<int>(inputs.size()); }
};

// How an elementwise op computes `count` elements in a row. moves[i]: input i has as many elements in a row;
// otherwise it has one, for all.
using ElementRun = void (*)(int64_t count, void* out, const void* const* inputs, const bool* moves);

// As ElementRun, where values also depend on the run and on an element's place: `first` is the index in the
// output of the first. Inputs have the output's shape.
using PlacedRun = std::function<void(const RunKey& key, int64_t first, int64_t count, void* out,
                                     const void* const* inputs)>;

struct ElementLoop {
  ElementRun run = nullptr;
  double nanoseconds = 0;      // an element, roughly
  PlacedRun placed = nullptr;  // instead of `run`

  explicit operator bool() const { return run != nullptr || placed; }
};

// The rows (of a first axis) that a node reads or writes, as its own inputs tell: an int64 input lists them,
// in any order and repeatedly. Of that list, only as many count as the last element of input `ends` says.
struct Rows {
  int indices = -1;  // number of the input; -1: any row may be meant
  int ends = -1;     // likewise; -1: the whole list counts
};

// An attribute, a flag, of an op with rows_written(): its output is zero already, so only those are written.
inline constexpr const char* over_zeros = "over_zeros";

// Of rnn, lstm and gru, where their first input, gates_x (batch, steps, width), would be gathered: it is the
// table then, (rows, width), and the last input says which of its rows are meant, (batch, steps). They are
// read where they are.
inline constexpr const char* from_table = "from_table";

class Op {
 public:
  virtual ~Op() = default;
  virtual const char* name() const = 0;

  // The shape rule. Throws ValueError for shapes, TypeError for dtypes, each naming the op and what came.
  virtual TensorType infer(const Signature& node) const = 0;

  // The forward computation for these sizes.
  virtual Routine compile(const Signature& node, const TensorType& output) const = 0;

  // An op of which each output element depends on the elements of up to three inputs, broadcast, at its
  // place. Such ops are run in chains. An op without such a loop gives an empty one.
  virtual ElementLoop element_loop(const Signature&, const TensorType& /*output*/) const { return {}; }

  // The derivative, as graph nodes. The default differentiates decompose().
  virtual void vjp(Vjp& node) const;

  // The same value from plainer ops: what a fused op means, its test oracle and its second derivative. An op
  // has a vjp or a decomposition.
  virtual Value decompose(const std::vector<Value>& inputs, const Attributes& attributes) const;

  // The output is the input's memory, or a part of it, under another type; nothing runs.
  virtual bool is_view() const { return false; }
  // Where that part begins, in bytes.
  virtual int64_t view_offset(const Signature&) const { return 0; }

  // Integer input `number` must hold values in [0, bound); -1: no such rule.
  virtual int64_t index_bound(const Signature&, int /*number*/) const { return -1; }

  // Of input `number`, it reads these rows only.
  virtual Rows rows_read(const Signature&, int /*number*/) const { return {}; }
  // The output is zero but for these rows.
  virtual Rows rows_written(const Signature&) const { return {}; }
};

// One op of a chain. All ops of a chain have outputs of one shape.
struct Link {
  ElementLoop loop;
  TensorType output;
  std::vector<TensorType> inputs;
  std::vector<int>
      sources;  // of the inputs: number of an input of the routine, or ~number of an earlier link
};

// One pass over blocks that fit into the level-1 cache: all links of a block, then the next. The output is
// the last link's; what the others compute is never written to memory.
Routine compile_chain(const std::vector<Link>& links);

// Throws ValueError for a name that no op has. The list is ops/op_list.cpp.
const Op& find_op(const std::string& name);
std::vector<std::string> op_names();

}  // namespace bpcore
