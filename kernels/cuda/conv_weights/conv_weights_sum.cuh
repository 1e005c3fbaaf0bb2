#pragma once
// The end of a split weight gradient: the sums of its splits, added up in the launch that made
// them.
#include "kernels/cuda/base/block_place.cuh"
#include "kernels/cuda/conv_weights/conv_weights_plan.cuh"
#include "kernels/cuda/optim/packs.cuh"

namespace ek::kernels::EK_TARGET {
namespace {

// The first ticket of the weight gradient: those before are of the backward data pass, which may
// run in the same launch. More than half of kGradientBlocks parts of a gradient are never split.
constexpr unsigned kSplitTickets = 64;
static_assert(kSplitTickets + kGradientBlocks / 2 * (kSplitGroups + 1) <= kLaunchTickets);

// The sums of one part of the gradient (Block::elements numbers, as the lanes have them), in
// memory [parts, splits, elements]. They are added up in two steps, since one multiprocessor alone
// would be long at it: every eighth split by the last block of these, and what comes of that by the
// last block of all. Each step follows the order of the splits, so the bits do not depend on who
// was last.
template <class Block>
struct SplitPartials {
  float* partials;
  int splits, part;

  __device__ SplitPartials(float* partials_, int splits_, const BlockPlace& block)
      : partials(partials_), splits(splits_), part(int(block.z * block.height + block.y)) {}

  __device__ float* at(int split) const {
    return partials + (std::int64_t(part) * splits + split) * Block::elements;
  }

  // Run by all threads of the block behind the stores of its `split`; in the last block of all,
  // visit(i, sum) gets each element's sum.
  template <class Visit>
  __device__ __forceinline__ void add_up(int split, const Visit& visit) const {
    unsigned* const tickets = launch_tickets() + kSplitTickets + part * (kSplitGroups + 1);
    const int groups = splits < kSplitGroups ? splits : kSplitGroups;
    if (splits > kSplitGroups) {
      const int group = split % kSplitGroups;
      const int members = (splits - group + kSplitGroups - 1) / kSplitGroups;
      if (!last_of(tickets + group, unsigned(members))) return;
      add_group(group);
    }
    if (!last_of(tickets + kSplitGroups, unsigned(groups))) return;
#pragma unroll 1
    for (int i = first(); i < Block::elements; i += kStep) {
      Four sum = {};
#pragma unroll
      for (int group = 0; group < kSplitGroups; ++group) {
        if (group < groups) add(sum, load_pack<4>(at(group) + i));
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) visit(i + j, sum.values[j]);
    }
  }

 private:
  // Four elements a thread and access.
  using Four = Pack<float, 4>;
  static constexpr int kStep = Block::threads * 4;
  static_assert(Block::elements % 4 == 0);
  __device__ static int first() {
    return int(threadIdx.x) * 4;
  }
  __device__ static void add(Four& sum, const Four& more) {
#pragma unroll
    for (int j = 0; j < 4; ++j) sum.values[j] += more.values[j];
  }

  // The sum of a group's splits, in the place of its first one.
  __device__ __forceinline__ void add_group(int group) const {
#pragma unroll 1
    for (int i = first(); i < Block::elements; i += kStep) {
      Four sum = {};
#pragma unroll 8  // loads on their way together
      for (int split = group; split < splits; split += kSplitGroups) {
        add(sum, load_pack<4>(at(split) + i));
      }
      store_pack<4>(at(group) + i, sum);
    }
  }
};

}  // namespace
}  // namespace ek::kernels::EK_TARGET
