// Threads. This is the only place that knows OpenMP.
//
// One region is opened for a whole native call (many steps). One member leads: it runs the program and hands
// out tasks; the others take tasks whenever there are any. The leader waits for tasks that others have begun,
// never for the others themselves: on a busy machine it simply does more of the work. Which member does which
// task never changes a result.
#pragma once

#include <atomic>
#include <cstdint>
#include <type_traits>

#include "core/ranges.h"

namespace bpcore {

// How many threads a call may use at most: OMP_NUM_THREADS if set, else the CPUs this process may run on; 1
// without OpenMP.
int max_threads();

// Whether the core was built with OpenMP.
bool has_openmp();

class Team {
 public:
  // Tasks that a member takes first, so that what it wrote is still in its cache; others take what is left
  // over. The next task in the upper half, the end in the lower.
  struct alignas(64) Share {
    std::atomic<uint64_t> next_and_end{0};
  };

  Team() : size_(1), shares_(nullptr) {}  // the caller alone

  int size() const { return size_; }

  // Runs body(task, rank) for every task in [0, tasks), fewer than 2^31, on the members that are free, and
  // returns when all are done. What was written before is seen by the tasks, and what they write by what
  // follows. Only the leader calls this; body must not throw.
  template <class Body>
  void run(int64_t tasks, Body&& body) {
    if (size_ == 1 || tasks <= 1) {
      for (int64_t task = 0; task < tasks; ++task) body(task, 0);
      return;
    }
    share_out(
        tasks,
        [](void* context, int64_t task, int rank) {
          (*static_cast<std::remove_reference_t<Body>*>(context))(task, rank);
        },
        &body);
  }

 private:
  friend void run_team(int threads, void (*program)(void* context, Team& team), void* context);

  Team(int size, Share* shares) : size_(size), shares_(shares) {}

  using Run = void (*)(void* context, int64_t task, int rank);
  void share_out(int64_t tasks, Run run, void* context);
  void work(int rank);
  void help(int rank);  // until the leader dismisses the team
  void dismiss();

  const int size_;
  Share* const shares_;  // by rank
  Run run_ = nullptr;
  void* context_ = nullptr;
  alignas(64) std::atomic<uint32_t> unfinished_{0};  // tasks
  alignas(64) std::atomic<uint32_t> call_{0};        // changes when there is something to do
  std::atomic<bool> dismissed_{false};
};

// Runs program(context, team) on the caller, with `threads` members, and returns when it has ended. With one
// thread, or in a child after fork (where OpenMP's workers are gone), the team is the caller. The program
// must not throw.
void run_team(int threads, void (*program)(void* context, Team& team), void* context);

template <class Program>
void run_team(int threads, Program& program) {
  run_team(threads, [](void* context, Team& team) { (*static_cast<Program*>(context))(team); }, &program);
}

}  // namespace bpcore
