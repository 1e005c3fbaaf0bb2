#pragma once
// The cotangents of norm_conv in one launch: some blocks run the convolution backward
// (conv_halo.cuh), the others sum the weight gradient (conv_weights_mma.cuh). Neither waits for the
// other: what comes through the statistics is added to dout where either reads it.
//
// Both kinds of blocks take the registers and the shared memory of whichever wants more, and each
// pair of tiles is an instance to compile. So there are three: 3 x 3 taps, with 16 channels at most
// on either side, with more on both, and with more than 32 behind.
#include "kernels/cuda/conv_halo.cuh"
#include "kernels/cuda/conv_norm_run.cuh"
#include "kernels/cuda/conv_weights_run.cuh"

namespace ek::kernels::EK_TARGET {
namespace {

template <class Atom>
struct ProductOf;
template <>
struct ProductOf<Tf32Atom> : std::type_identity<Tf32Product> {};
template <>
struct ProductOf<SplitAtom> : std::type_identity<SplitProduct> {};
template <>
struct ProductOf<Bf16Atom> : std::type_identity<Bf16Product> {};

// Of the gradient's plan where dy has a prologue, which wants room for what it reads beside.
template <class Product, class Block>
std::int64_t joined_gradient_bytes(const GradientPlan& p) {
  constexpr std::int64_t size = sizeof(typename Product::Element);
  return p.shared_bytes + 2 * p.depth * Block::row_pitch * size;
}

// run.operator()<M, N, Block>() for the pair that serves a shape and the plan of its backward data;
// false where none does. Its answer is what run returns.
template <class Product, class Run>
bool with_joined(const Conv2dShape& s, const HaloPlan& plan, const Run& run) {
  if (s.kernel_h != 3 || s.kernel_w != 3 || !serves<Product>(s)) return false;
  return with_block(s, [&]<class Block>() {
    if constexpr (Block::taps == 9) {
      constexpr bool few = Block::rows <= 16;  // channels
      constexpr int m = few ? 4 : 2, n = few ? 1 : 2;
      const GradientPlan p = gradient_plan<Product, Block>(s);
      const bool fits = plan.shared_bytes <= kComfortable &&
                        joined_gradient_bytes<Product, Block>(p) <= kComfortable;
      if (few == (plan.blocks == 1) && fits) {
        return bool(run.template operator()<m, n, Block>());
      }
    }
    return false;
  });
}

struct ServedByAny {
  template <int M, int N, class Block>
  bool operator()() const {
    return true;
  }
};

// The weight gradient's blocks come first in the grid: there are fewer of them, and each has a
// longer way to go.
template <class Atom, int M, int N, class Block, class T = typename Atom::Element>
__global__ void __launch_bounds__(kHaloThreads, 3)
    norm_conv_backward(unsigned weight_blocks, unsigned tiles, unsigned high, ConvProblem p,
                       HaloPlan plan, ConvSources<T> sources, T* dy, StatsPrologue<T> prologue,
                       ActivationEpilogue<T> epilogue, GradientPlan of_weights,
                       JoinedWeights<T> weights, float* partials) {
  static_assert(Block::threads == kHaloThreads);
  const unsigned block = blockIdx.x;
  if (block >= weight_blocks) {
    convolve_tile<Atom, M, N, true>(p, plan, sources, dy, prologue, epilogue,
                                    BlockPlace::flat(block - weight_blocks, tiles, high));
  } else {
    add_share<typename ProductOf<Atom>::type, Block>(
        of_weights, weights.x, weights.dout, partials, weights.dweight, weights.window,
        StatsRowPrologue<T>{prologue},
        BlockPlace::flat(block, unsigned(of_weights.splits),
                         unsigned(of_weights.channel_blocks * of_weights.tap_blocks)));
  }
}

template <class Atom, class T = typename Atom::Element>
void run_joined(Stream stream, const Conv2dShape& s, const ConvProblem& p,
                const ConvSources<T>& sources, T* dy, const StatsPrologue<T>& prologue,
                const ActivationEpilogue<T>& epilogue, const JoinedWeights<T>& weights,
                Workspace workspace) {
  using Product = typename ProductOf<Atom>::type;
  const HaloPlan plan = halo_plan<T>(p, sources.count);
  const bool served = with_joined<Product>(s, plan, [&]<int M, int N, class Block>() {
    GradientPlan of_weights = gradient_plan<Product, Block>(s);
    of_weights.packed_x &= aligned_to_16(weights.x, weights.window.input.shortcut);
    of_weights.packed_dy &= aligned_to_16(weights.dout, prologue.out);
    Scratch scratch(workspace, "norm_conv_vjp, joined: a larger workspace expected");
    float* partials =
        of_weights.splits > 1 ? scratch.take<float>(partials_of<Block>(of_weights)) : nullptr;
    const std::int64_t weight_blocks =
        std::int64_t(of_weights.splits) * of_weights.blocks_of_split();
    const std::int64_t high = std::int64_t(p.pack.groups) * plan.column_tiles;
    const std::int64_t blocks = weight_blocks + plan.tiles() * high;
    require_argument(blocks < (std::int64_t(1) << 31),
                     "norm_conv_vjp, joined: work for fewer than 2^31 blocks expected", blocks);
    const std::int64_t shared =
        std::max(plan.shared_bytes, joined_gradient_bytes<Product, Block>(of_weights));
    launch<&norm_conv_backward<Atom, M, N, Block>>(
        {dim3(unsigned(blocks)), dim3(kHaloThreads), std::size_t(shared), stream},
        unsigned(weight_blocks), unsigned(plan.tiles()), unsigned(high), p, plan, sources, dy,
        prologue, epilogue, of_weights, weights, partials);
    return true;
  });
  require_argument(served, "norm_conv_vjp, joined: a shape that joins_norm_conv_vjp names expected",
                   s.kernel_h);
}

}  // namespace
}  // namespace ek::kernels::EK_TARGET
