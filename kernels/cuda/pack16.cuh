#pragma once
// 16 bytes of a tensor, what one thread moves in one access where it can.
#include "kernels/cuda/primitives.cuh"

namespace ek::kernels::EK_TARGET {

template <class T>
struct alignas(16) Pack16 {
  static constexpr int size = 16 / int(sizeof(T));
  T values[size];
};

template <class... P>
bool aligned_to_16(P... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0) && ...);
}

}  // namespace ek::kernels::EK_TARGET
