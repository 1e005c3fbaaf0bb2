#pragma once
#include "kernels/base/arguments.h"
#include "kernels/base/backend.h"

namespace ek::kernels {

// Bytes of `count` elements of T, rounded up so that what follows is aligned to 64 bytes.
template <class T>
constexpr std::size_t padded_bytes(std::int64_t count) {
  return (std::size_t(count) * sizeof(T) + 63) / 64 * 64;
}

// Hands out aligned pieces of a Workspace, front to back. `expected` is the message where it is too
// small: "norm_conv_vjp: expected a larger workspace".
class Scratch {
 public:
  Scratch(Workspace workspace, const char* expected) : left_(workspace), expected_(expected) {}

  template <class T>
  T* take(std::int64_t count) {
    const std::size_t bytes = padded_bytes<T>(count);
    require_argument(bytes <= left_.bytes, expected_, std::int64_t(left_.bytes));
    T* piece = static_cast<T*>(left_.data);
    left_ = {static_cast<unsigned char*>(left_.data) + bytes, left_.bytes - bytes};
    return piece;
  }
  // What is left, for a kernel that brings its own plan.
  Workspace rest() const { return left_; }

 private:
  Workspace left_;
  const char* expected_;
};

}  // namespace ek::kernels
