#include "core/parallel.h"

#include <pthread.h>

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bpcore {

namespace {

// A few microseconds (a pause takes 40 to 140 cycles): longer than members of one step are usually apart, far
// shorter than a time slice.
constexpr int spins_before_sleep = 200;

void pause_briefly() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

#if defined(_OPENMP)
// After fork the child has only the calling thread; libgomp does not know and would wait for workers for
// ever.
std::atomic<bool> forked{false};
[[maybe_unused]] const int fork_handler = pthread_atfork(nullptr, nullptr, [] { forked.store(true); });
#endif

}  // namespace

int max_threads() {
#if defined(_OPENMP)
  return omp_get_max_threads();
#else
  return 1;
#endif
}

bool has_openmp() {
#if defined(_OPENMP)
  return true;
#else
  return false;
#endif
}

void Team::barrier() const {
  const uint32_t round = round_.load(std::memory_order_acquire);
  if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
    waiting_.store(0, std::memory_order_relaxed);
    round_.store(round + 1, std::memory_order_release);
    round_.notify_all();
    return;
  }
  for (int spin = 0; spin < spins_before_sleep; ++spin) {
    if (round_.load(std::memory_order_acquire) != round) return;
    pause_briefly();
  }
  while (round_.load(std::memory_order_acquire) == round) round_.wait(round, std::memory_order_acquire);
}

void run_team([[maybe_unused]] int threads, void (*program)(void* context, const Member& member),
              void* context) {
#if defined(_OPENMP)
  if (threads > 1 && !forked.load(std::memory_order_relaxed)) {
    Team team(threads);
    int started = 0;
#pragma omp parallel num_threads(threads) shared(team, started)
    {
      // OpenMP may give fewer threads than asked for; the barriers count on all of them.
#pragma omp single
      started = omp_get_num_threads();
      if (started == threads) program(context, Member{team, omp_get_thread_num()});
    }
    if (started == threads) return;
  }
#endif
  Team alone(1);
  program(context, Member{alone, 0});
}

}  // namespace bpcore
