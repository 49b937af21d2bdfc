// Chains of elementwise ops, run block by block.
#include <algorithm>
#include <array>

#include "graph/element_loop.h"
#include "kernels/loops.h"
#include "ops/rules.h"

namespace bpcore {

namespace {

constexpr int most_inputs = 3;
constexpr int64_t block_bytes = 24 << 10;  // what the links of a block may keep in the level-1 cache
constexpr int64_t longest_block = 2048;    // elements; a multiple of every vector width, as all blocks are

struct Step {
  ElementLoop loop;
  int inputs;
  kernels::Walk<most_inputs> walk;
  std::array<int, most_inputs> sources{};    // number of an input of the routine, or ~slot in scratch
  std::array<int64_t, most_inputs> sizes{};  // bytes an element
  int64_t output_size;
  int slot = -1;  // of the result; -1: the output of the routine
};

// Scratch slots for results, each free again after its last reader. Returns how many there are.
int assign_slots(const std::vector<Link>& links, std::vector<Step>& steps) {
  std::vector<size_t> last_reader(links.size(), 0);
  for (size_t i = 0; i < links.size(); ++i)
    for (int source : links[i].sources)
      if (source < 0) last_reader[static_cast<size_t>(~source)] = i;
  std::vector<bool> used;
  for (size_t i = 0; i < links.size(); ++i) {
    if (i + 1 < links.size()) {
      const auto free = std::find(used.begin(), used.end(), false);
      steps[i].slot = static_cast<int>(free - used.begin());
      if (free == used.end())
        used.push_back(true);
      else
        *free = true;
    }
    for (size_t input = 0; input < links[i].sources.size(); ++input) {
      const int source = links[i].sources[input];
      if (source >= 0) {
        steps[i].sources[input] = source;
        continue;
      }
      const size_t maker = static_cast<size_t>(~source);
      steps[i].sources[input] = ~steps[maker].slot;
      if (last_reader[maker] == i) used[static_cast<size_t>(steps[maker].slot)] = false;
    }
  }
  return static_cast<int>(used.size());
}

// Elements [block.begin, block.end) of one link. Slots begin at block.begin.
void run_step(const Step& step, Range block, const Frame& frame, int64_t slot_bytes) {
  step.walk.runs(block, [&](int64_t position, const std::array<int64_t, most_inputs>& offset, int64_t count) {
    std::array<const void*, most_inputs> inputs{};
    std::array<bool, most_inputs> moves{};
    for (int i = 0; i < step.inputs; ++i) {
      const int source = step.sources[static_cast<size_t>(i)];
      const int64_t size = step.sizes[static_cast<size_t>(i)];
      inputs[static_cast<size_t>(i)] =
          source < 0 ? frame.scratch + ~source * slot_bytes + (position - block.begin) * size
                     : frame.input<char>(source) + offset[static_cast<size_t>(i)] * size;
      moves[static_cast<size_t>(i)] = step.walk.inner_stride(i) != 0;
    }
    char* out = step.slot < 0
                    ? frame.output<char>() + position * step.output_size
                    : frame.scratch + step.slot * slot_bytes + (position - block.begin) * step.output_size;
    if (step.loop.placed)
      step.loop.placed(frame.key, position, count, out, inputs.data());
    else
      step.loop.run(count, out, inputs.data(), moves.data());
  });
}

}  // namespace

Routine compile_chain(const std::vector<Link>& links) {
  const Shape& shape = links.back().output.shape;
  std::vector<Step> steps;
  double nanoseconds = 0;
  int64_t largest = 0;  // bytes an element of any result
  for (const Link& link : links) {
    Step step{link.loop, static_cast<int>(link.inputs.size()), {}, {}, {}, 0};
    const auto shape_of = [&](size_t i) { return i < link.inputs.size() ? link.inputs[i].shape : Shape{}; };
    step.walk = kernels::broadcast_walk<most_inputs>(shape, {shape_of(0), shape_of(1), shape_of(2)});
    for (size_t i = 0; i < link.inputs.size(); ++i)
      step.sizes.at(i) = static_cast<int64_t>(size_of(link.inputs[i].dtype));
    step.output_size = static_cast<int64_t>(size_of(link.output.dtype));
    largest = std::max(largest, step.output_size);
    nanoseconds += link.loop.nanoseconds;
    steps.push_back(std::move(step));
  }
  const int slots = assign_slots(links, steps);
  const int64_t elements = shape.elements();
  Routine routine = elementwise_routine(elements, nanoseconds);
  int64_t block = kernels::elements_per_task;
  if (slots > 0) {
    const int64_t fitting = block_bytes / (slots * largest) / 64 * 64;
    block = std::clamp<int64_t>(fitting, 64, longest_block);
  }
  const int64_t slot_bytes = block * largest;
  routine.scratch_bytes = slots * slot_bytes;
  routine.run = [steps = std::move(steps), elements, block, slot_bytes](const Frame& frame, int64_t task) {
    const Range range = kernels::elementwise_range(elements, task);
    for (int64_t begin = range.begin; begin < range.end; begin += block) {
      const Range part{begin, std::min(range.end, begin + block)};
      for (const Step& step : steps) run_step(step, part, frame, slot_bytes);
    }
  };
  return routine;
}

}  // namespace bpcore
