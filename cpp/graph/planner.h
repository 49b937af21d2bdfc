// Lifetimes in, offsets out. Pure: it knows neither graph nor memory.
#pragma once

#include <cstdint>
#include <vector>

namespace bpcore {

// A value that must be held from step `first` to step `last`, both included.
struct Lifetime {
  int64_t bytes;
  int first, last;
};

struct Layout {
  std::vector<int64_t> offsets;  // in bytes, 64-byte aligned, one per lifetime
  int64_t bytes = 0;             // of the whole arena
};

// No two values that live at the same time overlap. Greedy, each value into the smallest gap that holds it
// (Pisarchyk and Lee 2020, "Efficient memory management for deep neural net inference"), in several orders:
// largest first is best for most networks, others for some. The smallest arena is taken.
Layout place(const std::vector<Lifetime>& lifetimes);

// The most bytes that live at one step: no arena can be smaller.
int64_t largest_live_sum(const std::vector<Lifetime>& lifetimes);

}  // namespace bpcore
