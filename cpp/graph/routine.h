// What an op is compiled to: work in independent pieces, and how a piece tells what was wrong.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "core/rng.h"

namespace bpcore {

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

}  // namespace bpcore
