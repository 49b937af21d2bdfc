// What an op is: a shape rule, a forward routine and a derivative, side by side in one class.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graph/attributes.h"
#include "graph/element_loop.h"
#include "graph/routine.h"
#include "graph/tensor_type.h"

namespace bpcore {

class Vjp;
class Value;

// A node as its op sees it.
struct Signature {
  std::vector<TensorType> inputs;
  const Attributes& attributes;

  const TensorType& input(int number) const { return inputs[static_cast<size_t>(number)]; }
  int count() const { return static_cast<int>(inputs.size()); }
};

// The rows (of a first axis) that a node reads or writes, as its own inputs tell: an int64 input lists them,
// in any order and repeatedly. Of that list, only as many count as the last element of input `ends` says.
struct ListedRows {
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
  virtual ListedRows rows_read(const Signature&, int /*number*/) const { return {}; }
  // The output is zero but for these rows.
  virtual ListedRows rows_written(const Signature&) const { return {}; }
};

// Throws ValueError for a name that no op has. The list is ops/op_list.cpp.
const Op& find_op(const std::string& name);
std::vector<std::string> op_names();

}  // namespace bpcore
