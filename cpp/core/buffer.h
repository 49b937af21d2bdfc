// Aligned memory. Every array that the core owns is allocated here and nowhere else.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/ranges.h"

namespace bpcore {

// One cache line, and the widest vector.
constexpr size_t alignment = 64;

// Memory of fixed size, 64-byte aligned. Movable, not copyable.
class Buffer {
 public:
  enum class Fill : uint8_t { Zeros, Nothing };

  Buffer() = default;
  explicit Buffer(size_t bytes, Fill fill = Fill::Zeros);  // throws std::bad_alloc
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  char* data() const { return data_; }
  size_t bytes() const { return bytes_; }

  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  char* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace bpcore
