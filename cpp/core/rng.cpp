#include "core/rng.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace bpcore {

// Keep the epochs' streams, and that of the steps' keys, apart from the initial values' under the same seed.
constexpr uint64_t shuffle_stream = uint64_t{0x73687566} << 32;
constexpr uint64_t step_stream = uint64_t{0x73746570} << 32;

// The step goes into the key, since counter and stream fill the rest of a block's input.
Philox RunKey::stream(uint64_t number) const { return {Philox{seed, step_stream}.word(step), number}; }

void permutation(int64_t count, uint64_t seed, uint64_t epoch, int64_t* order) {
  std::iota(order, order + count, int64_t{0});
  const Philox random{seed, shuffle_stream ^ epoch};
  // Fisher and Yates; the multiply-shift (Lemire 2019) maps a word to [0, i] with a bias below 2⁻³² for any
  // array that fits in memory. Place i takes word i: places 2b + 1 and 2b share a block.
  const auto swap = [order](int64_t i, uint64_t word) {
    const auto wide = static_cast<unsigned __int128>(word) * static_cast<uint64_t>(i + 1);
    std::swap(order[i], order[static_cast<int64_t>(wide >> 64)]);
  };
  for (int64_t block = (count - 1) / 2; block >= 0; --block) {
    const auto words = random.words(static_cast<uint64_t>(block));
    for (int64_t i = std::min(2 * block + 1, count - 1); i >= 2 * block && i > 0; --i)
      swap(i, words[static_cast<size_t>(i - 2 * block)]);
  }
}

}  // namespace bpcore
