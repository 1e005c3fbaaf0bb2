#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/base/backend.h"
#include "kernels/base/error.h"

namespace ek::kernels::cpu {

// Bytes of `count` elements of T, rounded up so that what follows is aligned to 64 bytes.
template <class T>
constexpr std::size_t padded_bytes(std::int64_t count) {
  return (std::size_t(count) * sizeof(T) + 63) / 64 * 64;
}

// Hands out aligned pieces of a Workspace, front to back. `op` names the kernel in errors.
class Scratch {
 public:
  Scratch(Workspace workspace, const char* op) : workspace_(workspace), op_(op) {}

  template <class T>
  T* take(std::int64_t count) {
    const std::size_t end = used_ + padded_bytes<T>(count);
    require(end <= workspace_.bytes, "{}: workspace of {} bytes expected at least, got {}", op_,
            end, workspace_.bytes);
    T* piece = reinterpret_cast<T*>(static_cast<std::byte*>(workspace_.data) + used_);
    used_ = end;
    return piece;
  }

 private:
  Workspace workspace_;
  const char* op_;
  std::size_t used_ = 0;
};

}  // namespace ek::kernels::cpu
