// Counter-based random numbers: Philox4x32-10.
//
// Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
// A number is a pure function of (key, counter), so streams need no state, can be drawn in any order and by
// any thread, and can be drawn again instead of being stored.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace bpcore {

struct Philox {
  uint64_t seed;    // the key
  uint64_t stream;  // the upper half of the counter: which sequence under that key

  // Block number `index` of the stream: four independent words.
  std::array<uint32_t, 4> block(uint64_t index) const {
    uint32_t c0 = static_cast<uint32_t>(index), c1 = static_cast<uint32_t>(index >> 32);
    uint32_t c2 = static_cast<uint32_t>(stream), c3 = static_cast<uint32_t>(stream >> 32);
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{0xD2511F53} * c0, p1 = uint64_t{0xCD9E8D57} * c2;
      c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
      c1 = static_cast<uint32_t>(p1);
      c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
      c3 = static_cast<uint32_t>(p0);
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
    return {c0, c1, c2, c3};
  }

  // Block number `index` as two 64-bit words: numbers 2 · index and 2 · index + 1.
  std::array<uint64_t, 2> words(uint64_t index) const {
    const auto [a, b, c, d] = block(index);
    return {uint64_t{a} | uint64_t{b} << 32, uint64_t{c} | uint64_t{d} << 32};
  }

  // Number `index` of the stream's 64-bit words.
  uint64_t word(uint64_t index) const { return words(index / 2)[index % 2]; }

  // Uniform in [0, 1), a multiple of 2⁻⁵³.
  double uniform(uint64_t index) const { return static_cast<double>(word(index) >> 11) * 0x1p-53; }

  // Standard normal by Box and Muller (1958): one pair of uniforms a number, so that each depends on its
  // index alone.
  double normal(uint64_t index) const {
    const double radius = std::sqrt(-2 * std::log1p(-uniform(2 * index)));
    return radius * std::cos(6.283185307179586476925 * uniform(2 * index + 1));
  }
};

// What all random numbers of one run are keyed by. An op adds a stream of its own and counts its elements, so
// a number depends neither on the plan nor on who draws it, and can be drawn again in the backward pass.
struct RunKey {
  uint64_t seed = 0;
  uint64_t step = 0;  // updates done before the run

  Philox stream(uint64_t number) const;
};

// A permutation of 0 … count-1, the same for the same (seed, epoch): the order of an epoch.
void permutation(int64_t count, uint64_t seed, uint64_t epoch, int64_t* order);

}  // namespace bpcore
