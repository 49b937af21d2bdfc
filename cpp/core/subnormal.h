// Arithmetic on numbers below the smallest normal one is tens of times slower, and running means that decay
// come to stay there for ever.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace bpcore {

// While one lives, this thread's float arithmetic takes and gives zero for subnormal numbers. Where the
// processor has no such mode nothing changes but speed.
class FlushSubnormals {
 public:
  FlushSubnormals() : before_(get()) { set(before_ | flush); }
  ~FlushSubnormals() { set(before_); }
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
#if defined(__SSE2__)
  using Register = uint32_t;
  static constexpr Register flush = 0x8040;  // MXCSR: results (FTZ) and operands (DAZ)
  static Register get() { return _mm_getcsr(); }
  static void set(Register value) { _mm_setcsr(value); }
#elif defined(__aarch64__)
  using Register = uint64_t;
  static constexpr Register flush = uint64_t{1} << 24;  // FPCR.FZ: both
  static Register get() {
    Register value;
    asm volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void set(Register value) { asm volatile("msr fpcr, %0" : : "r"(value) : "memory"); }
#else
  using Register = uint32_t;
  static constexpr Register flush = 0;
  static Register get() { return 0; }
  static void set(Register) {}
#endif

  const Register before_;
};

}  // namespace bpcore
