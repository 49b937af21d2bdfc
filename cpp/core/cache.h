// What the processor says of its caches.
#pragma once

#include <cstdint>

#if defined(__linux__)
#include <unistd.h>
#endif

namespace bpcore {

// Bytes of a core's level-1 data cache; 32 KiB where nothing tells.
inline int64_t level1_bytes() {
  static const int64_t bytes = [] {
    int64_t found = 0;
#ifdef _SC_LEVEL1_DCACHE_SIZE
    found = ::sysconf(_SC_LEVEL1_DCACHE_SIZE);
#endif
    return found > 0 ? found : int64_t{32} << 10;
  }();
  return bytes;
}

}  // namespace bpcore
