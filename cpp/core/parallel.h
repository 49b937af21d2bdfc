// Threads. This is the only place that knows OpenMP.
//
// One region is opened for a whole native call (many steps); inside it the members run the same program and
// meet at barriers. Which member does which task never changes a result: tasks are cut by shape alone.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/ranges.h"

namespace bpcore {

// How many threads a call may use at most: OMP_NUM_THREADS if set, else the CPUs this process may run on; 1
// without OpenMP.
int max_threads();

// Whether the core was built with OpenMP.
bool has_openmp();

class Team {
 public:
  explicit Team(int size) : size_(size) {}

  int size() const { return size_; }

  // Waits until all members have come. Spins briefly, then sleeps, so that a busy machine is not kept busier.
  void barrier() const;

 private:
  const int size_;
  mutable std::atomic<int> waiting_{0};
  mutable std::atomic<uint32_t> round_{0};
};

struct Member {
  const Team& team;
  int rank;

  bool leads() const { return rank == 0; }
  void barrier() const {
    if (team.size() > 1) team.barrier();
  }
  // This member's share of `tasks` tasks.
  Range share(int64_t tasks) const { return part_of(tasks, team.size(), rank); }
};

// Runs program(context, member) on `threads` members and returns when all have ended. With one thread, or in
// a child after fork (where OpenMP's workers are gone), it simply runs on the caller. The program must not
// throw.
void run_team(int threads, void (*program)(void* context, const Member& member), void* context);

template <class Program>
void run_team(int threads, Program& program) {
  run_team(
      threads, [](void* context, const Member& member) { (*static_cast<Program*>(context))(member); },
      &program);
}

}  // namespace bpcore
