#include "core/parallel.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <chrono>

#if defined(_OPENMP)
#include <omp.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bpcore {

namespace {

// Longer than what is between two shared-out pieces of a small step, far shorter than a time slice.
constexpr std::chrono::microseconds longest_spin{20};

// Waits until `value` is no longer `old`: spins briefly, then sleeps, so that a busy machine is not kept
// busier.
void wait_for_change(const std::atomic<uint32_t>& value, uint32_t old) {
  const auto end = std::chrono::steady_clock::now() + longest_spin;
  do {
    for (int spin = 0; spin < 16; ++spin) {
      if (value.load(std::memory_order_acquire) != old) return;
#if defined(__x86_64__)
      _mm_pause();
#endif
    }
  } while (std::chrono::steady_clock::now() < end);
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

constexpr uint64_t one_task = uint64_t{1} << 32;  // in a share

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

// The leader comes here only when all earlier tasks are done. A member that is still looking for one then
// sees either an empty share or a new one, which it may take from like any other: the new task was stored
// before its share.
void Team::share_out(int64_t tasks, Run run, void* context) {
  run_ = run;
  context_ = context;
  unfinished_.store(static_cast<uint32_t>(tasks), std::memory_order_relaxed);
  for (int rank = 0; rank < size_; ++rank) {
    const Range share = part_of(tasks, size_, rank);
    shares_[rank].next_and_end.store(
        static_cast<uint64_t>(share.begin) * one_task + static_cast<uint64_t>(share.end),
        std::memory_order_release);
  }
  call_.fetch_add(1, std::memory_order_release);
  call_.notify_all();
  work(0);
  for (uint32_t left; (left = unfinished_.load(std::memory_order_acquire)) > 0;)
    wait_for_change(unfinished_, left);
}

// Takes tasks, from the own share first, until none is left.
void Team::work(int rank) {
  const auto is_empty = [](uint64_t share) { return share / one_task >= share % one_task; };
  for (int i = 0; i < size_; ++i) {
    std::atomic<uint64_t>& share = shares_[(rank + i) % size_].next_and_end;
    while (!is_empty(share.load(std::memory_order_relaxed))) {
      const uint64_t taken = share.fetch_add(one_task, std::memory_order_acquire);
      if (is_empty(taken)) break;
      run_(context_, static_cast<int64_t>(taken / one_task), rank);
      if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1 && rank > 0) unfinished_.notify_one();
    }
  }
}

void Team::help(int rank) {
  uint32_t seen = 0;
  while (true) {
    wait_for_change(call_, seen);
    seen = call_.load(std::memory_order_acquire);
    if (dismissed_.load(std::memory_order_relaxed)) return;
    work(rank);
  }
}

void Team::dismiss() {
  dismissed_.store(true, std::memory_order_relaxed);
  call_.fetch_add(1, std::memory_order_release);
  call_.notify_all();
}

void run_team([[maybe_unused]] int threads, void (*program)(void* context, Team& team), void* context) {
#if defined(_OPENMP)
  constexpr int most_members = 256;
  threads = std::min(threads, most_members);
  if (threads > 1 && !forked.load(std::memory_order_relaxed)) {
    std::array<Team::Share, most_members> shares;
    Team team(threads, shares.data());
#pragma omp parallel num_threads(threads) shared(team)
    {
      // OpenMP may give fewer threads than asked for: the leader then takes their shares.
      if (omp_get_thread_num() > 0) {
        team.help(omp_get_thread_num());
      } else {
        program(context, team);
        team.dismiss();
      }
    }
    return;
  }
#endif
  Team alone;
  program(context, alone);
}

}  // namespace bpcore
