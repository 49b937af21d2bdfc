// Philox4x32-10 (core/rng.h) on vectors, and the numbers that are made of its words.
//
// Words are drawn in groups of 16 blocks, which every vector width divides: word w of block 16 g + i is
// number 16 w + i of group g. So an element's number depends on its index alone, on any machine, and no lanes
// have to be brought into order.
#pragma once

#include <algorithm>
#include <cstring>

#include "core/rng.h"
#include "kernels/vector_math.h"

namespace bpcore::kernels {

constexpr int64_t group_blocks = 16, group_words = 4 * group_blocks;

// Block index[lane] in the lower halves of the lanes; the upper halves hold nothing in particular.
BPCORE_INLINE void philox_blocks(const Philox& random, simd::Vec<uint64_t> index,
                                 simd::Vec<uint64_t> (&words)[4]) {
  using Wide = simd::Vec<uint64_t>;
  Wide c0 = index, c1 = index >> 32;
  Wide c2 = simd::broadcast(random.stream), c3 = simd::broadcast(random.stream >> 32);
  uint32_t k0 = static_cast<uint32_t>(random.seed), k1 = static_cast<uint32_t>(random.seed >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const Wide p0 = simd::multiply_lower(c0, 0xD2511F53), p1 = simd::multiply_lower(c2, 0xCD9E8D57);
    c0 = (p1 >> 32) ^ c1 ^ uint64_t{k0};
    c1 = p1;
    c2 = (p0 >> 32) ^ c3 ^ uint64_t{k1};
    c3 = p0;
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  words[0] = c0, words[1] = c1, words[2] = c2, words[3] = c3;
}

// The words of group `group`.
BPCORE_INLINE void draw_group(const Philox& random, uint64_t group, uint32_t* words) {
  using Wide = simd::Vec<uint64_t>;
  constexpr int64_t lanes = simd::vector_width<uint64_t>;
  for (int64_t i = 0; i < group_blocks; i += 2 * lanes) {
    const Wide even_index =
        2 * simd::count_up<uint64_t>() + (group * group_blocks + static_cast<uint64_t>(i));
    Wide even[4], odd[4];
    philox_blocks(random, even_index, even);
    philox_blocks(random, even_index + 1, odd);
    for (int w = 0; w < 4; ++w)
      simd::store(words + group_blocks * w + i, (simd::Vec<uint32_t>)((even[w] & 0xffffffff) | odd[w] << 32));
  }
}

// Calls use(words, offset, count, done) for each group's share of elements [first, first + count), of which
// there are `per_group` a group: elements [offset, offset + count) of the group, behind `done` others.
template <int64_t per_group, class Use>
BPCORE_INLINE void for_groups(const Philox& random, int64_t first, int64_t count, Use use) {
  uint32_t words[group_words];
  for (int64_t done = 0; done < count;) {
    const int64_t group = (first + done) / per_group, offset = (first + done) % per_group;
    const int64_t here = std::min(per_group - offset, count - done);
    draw_group(random, static_cast<uint64_t>(group), words);
    if (here == per_group)
      use(words, 0, per_group, done);
    else
      use(words, offset, here, done);
    done += here;
  }
}

// out[i] = x[i] · scale where word `first + i` is at least `threshold`, else 0.
template <class T>
void dropout(const Philox& random, int64_t first, int64_t count, uint32_t threshold, T scale, const T* x,
             T* out) {
  for_groups<group_words>(random, first, count,
                          [&](const uint32_t* words, int64_t offset, int64_t here, int64_t done) {
                            for (int64_t i = 0; i < here; ++i) {
                              const T scaled = x[done + i] * scale;  // always, or this becomes a branch
                              out[done + i] = words[offset + i] >= threshold ? scaled : T(0);
                            }
                          });
}

// Numbers from bits: 32 random ones for a float, 64 for a double.
template <class T>
struct FromBits;

template <>
struct FromBits<float> {
  using V = simd::Vec<float>;
  using B = simd::Vec<uint32_t>;
  static constexpr int64_t pairs = 2;  // of numbers a block
  BPCORE_INLINE static B load(const uint32_t* words, int64_t number, int64_t i) {
    return simd::load(words + group_blocks * number + i);
  }
  BPCORE_INLINE static V convert(B bits) { return __builtin_convertvector((simd::Vec<int32_t>)bits, V); }
  BPCORE_INLINE static V from_zero(B bits) { return convert(bits >> 8) * 0x1p-24f; }  // [0, 1), 24 bits
  BPCORE_INLINE static V positive(B bits) {  // (0, 1], 31 bits: the small ones make the large normals
    return simd::fma(convert(bits >> 1), simd::broadcast(0x1p-31f), simd::broadcast(0x1p-32f));
  }
  BPCORE_INLINE static V centred(B bits) { return convert(bits) * 0x1p-32f; }  // [-1/2, 1/2], 32 bits

  // Of t: (sin t - t) / t³ and (cos t - 1) / t² in powers of t², |t| <= π/4, by Taylor.
  static constexpr float sine[] = {-1.f / 6, 1.f / 120, -1.f / 5040, 1.f / 362880};
  static constexpr float cosine[] = {-1.f / 2, 1.f / 24, -1.f / 720, 1.f / 40320, -1.f / 3628800};
};

template <>
struct FromBits<double> {
  using V = simd::Vec<double>;
  using B = simd::Vec<uint64_t>;
  static constexpr int64_t pairs = 1;
  BPCORE_INLINE static B load(const uint32_t* words, int64_t number, int64_t i) {
    simd::Vec<uint32_t, simd::vector_bytes / 2> low, high;
    const uint32_t* from = words + 2 * group_blocks * number + i;
    std::memcpy(&low, from, sizeof low);
    std::memcpy(&high, from + group_blocks, sizeof high);
    return __builtin_convertvector(low, B) | __builtin_convertvector(high, B) << 32;
  }
  // [1, 2): the upper 52 bits behind the binary point.
  BPCORE_INLINE static V from_one(B bits) { return (V)(bits >> 12 | uint64_t{0x3ff} << 52); }
  BPCORE_INLINE static V from_zero(B bits) { return from_one(bits) - 1.0; }
  BPCORE_INLINE static V positive(B bits) { return from_one(bits) - 1.0 + 0x1p-53; }  // (0, 1)
  BPCORE_INLINE static V centred(B bits) { return from_one(bits) - 1.5; }             // [-1/2, 1/2)

  static constexpr double sine[] = {
      -1. / 6,        1. / 120,         -1. / 5040,         1. / 362880,
      -1. / 39916800, 1. / 6227020800., -1. / 1307674368e3, 1. / 355687428096e3};
  static constexpr double cosine[] = {-1. / 2,       1. / 24,        -1. / 720,          1. / 40320,
                                      -1. / 3628800, 1. / 479001600, -1. / 87178291200., 1. / 20922789888e3};
};

// Two independent standard normal numbers: √(-2 log u) times a random point of the unit circle (Box, Muller
// 1958). The point is one of a quarter of the circle; two bits turn and mirror it into another.
template <class T>
BPCORE_INLINE void normal_pair(simd::Vec<simd::Bits<T>> radius_bits, simd::Vec<simd::Bits<T>> angle_bits,
                               T* first, T* second) {
  using From = FromBits<T>;
  using V = simd::Vec<T>;
  using B = simd::Vec<simd::Bits<T>>;
  const V radius = simd::square_root(T(-2) * logarithm<T>(From::positive(radius_bits)));
  const V t = T(1.57079632679489661923) * From::centred(angle_bits << 2), square = t * t;
  const V sine = simd::fma(t * square, polynomial<T>(square, From::sine), t);
  const V cosine = simd::fma(square, polynomial<T>(square, From::cosine), simd::broadcast(T(1)));
  const V mirrored = (V)((B)cosine ^ (angle_bits & simd::sign_bit<T>));
  const auto turned = (simd::Vec<simd::Lanes<T>>)(angle_bits << 1) < 0;
  simd::store(first, radius * (turned ? sine : mirrored));
  simd::store(second, radius * (turned ? mirrored : sine));
}

// Numbers of one distribution: a group of them is made of a group's words.
template <class T>
struct Uniform {
  static constexpr int64_t per_group = group_blocks * 2 * FromBits<T>::pairs;
  BPCORE_INLINE static void make(const uint32_t* words, T* out) {
    for (int64_t number = 0; number < per_group / group_blocks; ++number)
      for (int64_t i = 0; i < group_blocks; i += simd::vector_width<T>)
        simd::store(out + group_blocks * number + i,
                    FromBits<T>::from_zero(FromBits<T>::load(words, number, i)));
  }
};

template <class T>
struct Normal {
  static constexpr int64_t per_group = group_blocks * 2 * FromBits<T>::pairs;
  BPCORE_INLINE static void make(const uint32_t* words, T* out) {
    for (int64_t number = 0; number < 2 * FromBits<T>::pairs; number += 2)
      for (int64_t i = 0; i < group_blocks; i += simd::vector_width<T>) {
        T* place = out + group_blocks * number + i;
        normal_pair<T>(FromBits<T>::load(words, number, i), FromBits<T>::load(words, number + 1, i), place,
                       place + group_blocks);
      }
  }
};

// Elements [first, first + count) of a sequence of such numbers.
template <class Distribution, class T>
void draw(const Philox& random, int64_t first, int64_t count, T* out) {
  constexpr int64_t per_group = Distribution::per_group;
  for_groups<per_group>(random, first, count,
                        [&](const uint32_t* words, int64_t offset, int64_t here, int64_t done) {
                          if (here == per_group) return Distribution::make(words, out + done);
                          T group[per_group];
                          Distribution::make(words, group);
                          std::memcpy(out + done, group + offset, static_cast<size_t>(here) * sizeof(T));
                        });
}

}  // namespace bpcore::kernels
