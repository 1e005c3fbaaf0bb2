#pragma once
// Products of float32 on tensor cores in float32's accuracy: x = big + small, both tf32, and
//   x y = small big + big small + big big
// in this order, smallest first; what is left out is some 2^-22 of the product. An infinity gives
// NaN, since infinity minus infinity is in its small part.
//
// A tensor core does not round what it adds, it cuts: terms are aligned to the largest one with
// some 25 bits, and the sum is cut toward zero. A sum that passed through every instruction would
// lose in each of them, always toward zero, so that its error grew with the number of terms. So the
// eight products of a step are summed from zero, where a cut is relative to them alone, and an
// addition in float32, which rounds to nearest, adds them to the sum that goes on.
#include <bit>
#include <cstdint>

#include "kernels/cuda/base/primitives.cuh"

namespace ek::kernels::EK_TARGET {

// A lane's N words of a fragment.
template <int N>
struct SplitWords {
  std::uint32_t big[N], small[N];

  // Word: float, or the bits of one.
  template <class Word>
  __device__ void split(const Word (&words)[N]) {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float x = std::bit_cast<float>(words[i]);
      big[i] = to_tf32(x);
      small[i] = to_tf32(x - std::bit_cast<float>(big[i]));
    }
  }
};

// c += a b, m16n8k8; c is rounded once.
__device__ inline void mma_split(float (&c)[4], const SplitWords<4>& a, const SplitWords<2>& b) {
  float step[4] = {};
  mma_tf32(step, a.small, b.big);
  mma_tf32(step, a.big, b.small);
  mma_tf32(step, a.big, b.big);
#pragma unroll
  for (int i = 0; i < 4; ++i) c[i] += step[i];
}

}  // namespace ek::kernels::EK_TARGET
