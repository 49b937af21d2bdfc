// Connectionist temporal classification: sums over the alignments of one sequence of labels with frames. A.
// Graves, S. Fernández, F. Gomez and J. Schmidhuber, Connectionist temporal classification: labelling
// unsegmented sequence data with recurrent neural networks (2006).
//
// An alignment is a path through the states b(0) l(0) b(1) l(1) ... l(L-1) b(L), one state a frame: a blank
// before and after each label. It begins in b(0) or l(0), ends in l(L-1) or b(L), and moves from one frame to
// the next by staying, by going to the next state, or from a label to the next label unless the two are the
// same. Blanks and labels stand in two arrays of vectors; so a step is the same few instructions for all
// states, and what moves by one state is read one element off.
//
// Everything is computed from logarithms in float64, for float32 input too: sums over a thousand frames are
// then as exact as the input.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "core/ranges.h"
#include "kernels/reduce.h"
#include "kernels/vector_math.h"

namespace bpcore::kernels {

// log(e^a + e^b). Two of -infinity make -infinity; a NaN makes NaN.
BPCORE_INLINE simd::Vec<double> log_add(simd::Vec<double> a, simd::Vec<double> b) {
  using Vec = simd::Vec<double>;
  const Vec distance = a == b ? Vec{} : -simd::absolute<double>(a - b);
  return (a > b ? a : b) + logarithm_of_one_to_two<double>(exponential_or_zero<double>(distance));
}

// Of sequences of up to `frames` frames with up to `labels` labels.
template <class T>
class Ctc {
 public:
  Ctc(int64_t frames, int64_t labels, int64_t classes, int64_t blank)
      : frames_(frames), labels_(labels), classes_(classes), blank_(blank) {}

  // In elements of float64.
  int64_t loss_scratch() const { return fixed() + 2 * row(); }
  int64_t gradient_scratch() const { return fixed() + (frames_ + 3) * row(); }

  // Minus the logarithm of the sum over all alignments; infinity if there is none. The lengths are within
  // the constructor's, labels within the classes.
  T loss(const T* scores /* (frames, classes) */, const int64_t* labels /* (label_count) */,
         int64_t frame_count, int64_t label_count, double* scratch) const {
    const States states = begin(labels, label_count, scratch);
    double *now = states.rows, *before = states.rows + row();
    start(now);
    for (int64_t t = 0; t < frame_count; ++t) {
      std::swap(now, before);
      forward(states, scores + t * classes_, before, now);
    }
    return static_cast<T>(0.0 - total(now, label_count));  // not -0
  }

  // The derivatives of seed · loss by the scores: -seed times the probability, given the labels, of being in
  // a state of that class at that time. 0 everywhere if there is no alignment, and behind the last frame.
  void gradient(const T* scores /* (frames, classes) */, const int64_t* labels /* (label_count) */,
                int64_t frame_count, int64_t label_count, T seed, T* out /* (frames, classes) */,
                double* scratch) const {
    const States states = begin(labels, label_count, scratch);
    start(states.rows);
    for (int64_t t = 0; t < frame_count; ++t)
      forward(states, scores + t * classes_, states.rows + t * row(), states.rows + (t + 1) * row());
    const double log_total = total(states.rows + frame_count * row(), label_count);
    std::fill(out, out + frames_ * classes_, T(0));
    if (log_total == -std::numeric_limits<double>::infinity()) return;

    // The sums over all ways from each state to the end, the state's own score included.
    double *after = states.rows + (frames_ + 1) * row(), *now = after + row();
    clear(after);
    clear(now);
    blanks(after)[label_count] = 0.0;  // as if one more frame followed, in the last blank and for nothing
    for (int64_t t = frame_count - 1; t >= 0; --t) {
      double* ways = states.rows + (t + 1) * row();
      T* slopes = out + t * classes_;
      const double blank_share = backward(states, scores + t * classes_, log_total, after, now, ways);
      slopes[blank_] = static_cast<T>(-blank_share) * seed;
      for (int64_t i = 0; i < label_count; ++i)
        slopes[labels[i]] -= static_cast<T>(label_states(ways)[i]) * seed;
      std::swap(after, now);
    }
  }

 private:
  using Vec = simd::Vec<double>;
  static constexpr int64_t width = simd::vector_width<double>;

  int64_t frames_, labels_, classes_, blank_;

  // The states of a row: a vector of nothing, the labels, the blanks, a vector of nothing. Nothing, and what
  // is behind the last label and blank, has the logarithm -infinity.
  int64_t padded() const { return round_up(labels_ + 1, width); }
  int64_t row() const { return 2 * padded() + 2 * width; }
  int64_t fixed() const { return 2 * (padded() + width); }
  double* label_states(double* r) const { return r + width; }
  double* blanks(double* r) const { return r + width + padded(); }
  const double* label_states(const double* r) const { return r + width; }
  const double* blanks(const double* r) const { return r + width + padded(); }
  void clear_ends(double* r) const {
    std::fill(r, r + width, -std::numeric_limits<double>::infinity());
    std::fill(r + row() - width, r + row(), -std::numeric_limits<double>::infinity());
  }
  void clear(double* r) const { std::fill(r, r + row(), -std::numeric_limits<double>::infinity()); }

  struct States {
    const int64_t* labels;
    int64_t label_count;
    double* skips;   // (padded + width): 1 where a label may follow the one before at once, else 0
    double* scores;  // (padded + width): of each label in the current frame, -infinity behind the last
    double* rows;
  };

  States begin(const int64_t* labels, int64_t label_count, double* scratch) const {
    double* scores = scratch + padded() + width;
    std::fill(scratch, scores, 0.0);
    std::fill(scores, scores + padded() + width, -std::numeric_limits<double>::infinity());
    for (int64_t i = 1; i < label_count; ++i)
      if (labels[i] != labels[i - 1]) scratch[i] = 1.0;
    return {labels, label_count, scratch, scores, scratch + fixed()};
  }

  // Before the first frame: in the first blank, from where both first states follow.
  void start(double* now) const {
    clear(now);
    blanks(now)[0] = 0.0;
  }

  void read_scores(const States& states, const T* frame) const {
    for (int64_t i = 0; i < states.label_count; ++i)
      states.scores[i] = static_cast<double>(frame[states.labels[i]]);
  }

  // The sums over all ways to each state of a frame, from those of the frame before. A label that may follow
  // the label before it at once is reached from where the blank between them is, and from itself.
  void forward(const States& states, const T* frame, const double* before, double* now) const {
    read_scores(states, frame);
    const double blank_score = static_cast<double>(frame[blank_]);
    const double *l = label_states(before), *b = blanks(before);
    clear_ends(now);
    for (int64_t i = 0; i < padded(); i += width) {
      const Vec blank = simd::load(b + i), to_blank = log_add(blank, simd::load(l + i - 1));
      const Vec skipping = simd::load(states.skips + i);
      const Vec to_label = log_add(simd::load(l + i), skipping > Vec{} ? to_blank : blank);
      simd::store(blanks(now) + i, to_blank + blank_score);
      simd::store(label_states(now) + i, to_label + simd::load(states.scores + i));
    }
  }

  // The logarithm of the sum over all alignments, from the row of the last frame.
  double total(const double* last, int64_t label_count) const {
    const Vec sum = log_add(simd::broadcast(blanks(last)[label_count]),
                            simd::broadcast(label_states(last)[label_count - 1]));
    return sum[0];
  }

  // The sums over all ways from each state of a frame to the end, from those of the frame after. `ways` has
  // the sums over all ways to each state, and is written over with each label's probability in this frame;
  // that of the blanks is returned.
  double backward(const States& states, const T* frame, double log_total, const double* after, double* now,
                  double* ways) const {
    read_scores(states, frame);
    const double blank_score = static_cast<double>(frame[blank_]);
    const double *l = label_states(after), *b = blanks(after);
    double *l_ways = label_states(ways), *b_ways = blanks(ways);
    Vec blank_shares{};
    for (int64_t i = 0; i < padded(); i += width) {
      const Vec from_blank = log_add(simd::load(b + i), simd::load(l + i));
      blank_shares += exponential_or_zero<double>(simd::load(b_ways + i) + from_blank - log_total);
      simd::store(b_ways + i, from_blank);  // read below
      simd::store(blanks(now) + i, from_blank + blank_score);
    }
    for (int64_t i = 0; i < padded(); i += width) {
      const Vec skipping = simd::load(states.skips + i + 1);
      const Vec next = skipping > Vec{} ? simd::load(b_ways + i + 1) : simd::load(b + i + 1);
      const Vec from_label = log_add(simd::load(l + i), next);
      simd::store(l_ways + i, exponential_or_zero<double>(simd::load(l_ways + i) + from_label - log_total));
      simd::store(label_states(now) + i, from_label + simd::load(states.scores + i));
    }
    return simd::combine_lanes<double>(blank_shares, Sum{})[0];
  }
};

}  // namespace bpcore::kernels
