#pragma once
#include <cstdint>

#include "kernels/cuda/base/primitives.cuh"

namespace ek::kernels::EK_TARGET {

// A factor of a matrix product as the sum needs it: element (k, i), i a row of op(a) or a column of
// op(b).
template <class T>
struct Factor {
  const T* data;
  std::int64_t size, depth;  // of i, of k
  bool k_inner;              // neighbours in memory are neighbours in k

  __device__ T operator()(std::int64_t k, std::int64_t i) const {
    return data[k_inner ? i * depth + k : k * size + i];
  }
  __device__ T or_zero(std::int64_t k, std::int64_t i) const {
    return k < depth && i < size ? (*this)(k, i) : T(0);
  }
};

// Longer sums are taken in pieces of so many products, which are added up in double.
constexpr std::int64_t kPieceDepth = 1024;

}  // namespace ek::kernels::EK_TARGET
