#pragma once
// The end of a split weight gradient: its partial sums, added up.
#include "kernels/cuda/conv_weights.h"

namespace ek::kernels::EK_TARGET {
namespace {

// dweight = the sum of partials [splits, weights] in a fixed order: 8 threads a weight take every
// eighth split, and their sums are added in turn. By blocks of kSumWeights * kSumThreads threads,
// of which this is number `block`.
constexpr int kSumWeights = 32, kSumThreads = 8, kSumBlock = kSumWeights * kSumThreads;

inline unsigned blocks_of(const SplitSum& sum) {
  return unsigned((sum.weights + kSumWeights - 1) / kSumWeights);
}

__device__ inline void add_splits(const SplitSum& sum, int block) {
  EK_SHARED(part, float[kSumThreads][kSumWeights]);
  const int column = int(threadIdx.x) % kSumWeights, first = int(threadIdx.x) / kSumWeights;
  const std::int64_t weight = std::int64_t(block) * kSumWeights + column;
  float total = 0;
  if (weight < sum.weights) {
    for (int split = first; split < sum.splits; split += kSumThreads) {
      total += sum.partials[split * sum.weights + weight];
    }
  }
  part[first][column] = total;
  __syncthreads();
  if (first > 0 || weight >= sum.weights) return;
  for (int i = 1; i < kSumThreads; ++i) total += part[i][column];
  sum.dweight[weight] = total;
}

}  // namespace
}  // namespace ek::kernels::EK_TARGET
