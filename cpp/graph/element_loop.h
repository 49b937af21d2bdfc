// Elementwise ops as loops over runs of elements, and chains of such loops.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/rng.h"
#include "graph/routine.h"
#include "graph/tensor_type.h"

namespace bpcore {

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

}  // namespace bpcore
