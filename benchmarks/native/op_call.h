// One op alone, as a plan of one thread runs it: for suites of what layers are made of.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "graph/value.h"

namespace bpcore::benchmarks {

class OpCall {
 public:
  // The op of `node`, on what its inputs are where those of its graph are small random numbers, integers
  // below ten. So a backward op gets what the forward pass gives it.
  explicit OpCall(Value node);

  void run() const;
  int64_t bytes() const { return bytes_; }  // of inputs and output

 private:
  TensorType output_type_;
  Routine routine_;
  std::vector<Buffer> arrays_;   // the output, then the inputs
  std::vector<void*> operands_;  // those
  Buffer scratch_;
  int64_t bytes_ = 0;
};

Value float_input(Graph& graph, const Shape& shape);
Value integer_input(Graph& graph, const Shape& shape);

// The derivative of `output`, whose own is random, by `input`; views of what an op makes are that op.
Value derivative(Value output, Value input);
// The first node of this op. Throws ValueError if there is none.
Value found(Graph& graph, const char* op);

// The node to be measured, after its graph has been described.
using Described = std::function<Value(Graph& graph)>;

// Adds a benchmark: so many floating-point operations as share of the FMA peak.
void add_against_peak(const std::string& name, double flops, Described described);
// The same: what the op reads and writes, each byte once, as share of a copy in as much memory.
void add_against_copy(const std::string& name, Described described);

}  // namespace bpcore::benchmarks
