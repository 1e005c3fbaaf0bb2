#pragma once
// Several elements at a time, and the way between stored types and those of arithmetic; for every
// family whose tuned kernels move 16 bytes a thread and access.
#include <bit>
#include <cstdint>

#include "kernels/cuda/base/primitives.cuh"
#include "kernels/math/bf16.h"

namespace ek::kernels::EK_TARGET {

// Arithmetic on bf16 happens in float, and each result is rounded once.
template <class T>
__device__ Acc<T> widened(T x) {
  if constexpr (std::is_same_v<T, bf16>) {
    return math::bf16_to_float(x);
  } else {
    return x;
  }
}

template <class To, class From>
__device__ To narrowed(From x) {
  if constexpr (!std::is_same_v<To, bf16>) {
    return To(x);
  } else if constexpr (std::is_same_v<From, double>) {
    return math::double_to_bf16(x);
  } else {
    return to_bf16(x);
  }
}

template <class T, int N>
struct alignas(N * sizeof(T) >= 16 ? 16 : N * sizeof(T)) Pack {
  static constexpr int size = N;
  T values[N];
};

// Each rounded as `narrowed` rounds; two to bf16 are one instruction.
template <class To, class From, int N>
__device__ Pack<To, N> narrowed_pack(const Pack<From, N>& x) {
  Pack<To, N> result;
  if constexpr (std::is_same_v<To, bf16> && std::is_same_v<From, float> && N % 2 == 0) {
#pragma unroll
    for (int i = 0; i < N; i += 2) {
      const auto pair = std::bit_cast<Pack<bf16, 2>>(to_bf16x2(x.values[i], x.values[i + 1]));
      result.values[i] = pair.values[0];
      result.values[i + 1] = pair.values[1];
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) result.values[i] = narrowed<To>(x.values[i]);
  }
  return result;
}

// What one thread moves in one access where it can.
template <class T>
using Pack16 = Pack<T, 16 / int(sizeof(T))>;

// Loads N elements in accesses of 16 bytes, or of less when they are less. One may lie anywhere.
template <int N, class T>
__device__ Pack<T, N> load_pack(const T* from) {
  if constexpr (N == 1) {
    return {{*from}};
  } else {
    constexpr int step = N * sizeof(T) > 16 ? 16 / int(sizeof(T)) : N;
    Pack<T, N> pack;
#pragma unroll
    for (int i = 0; i < N; i += step) {
      const auto part = load_vec<Pack<T, step>>(from + i);
#pragma unroll
      for (int j = 0; j < step; ++j) pack.values[i + j] = part.values[j];
    }
    return pack;
  }
}

template <int N, class T>
__device__ void store_pack(T* to, const Pack<T, N>& pack) {
  if constexpr (N == 1) {
    *to = pack.values[0];
  } else {
    constexpr int step = N * sizeof(T) > 16 ? 16 / int(sizeof(T)) : N;
#pragma unroll
    for (int i = 0; i < N; i += step) {
      Pack<T, step> part;
#pragma unroll
      for (int j = 0; j < step; ++j) part.values[j] = pack.values[i + j];
      store_vec(to + i, part);
    }
  }
}

// Null pointers count as aligned: what they stand for is not accessed.
template <class... P>
bool aligned_to_16(P... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) % 16 == 0) && ...);
}

}  // namespace ek::kernels::EK_TARGET
