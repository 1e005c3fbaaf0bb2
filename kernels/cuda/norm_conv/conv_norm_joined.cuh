#pragma once
// The cotangents of norm_conv in one launch: some blocks run the convolution backward
// (conv_halo.cuh), the others sum the weight gradient (conv_weights_mma.cuh). Neither waits for the
// other: what comes through the statistics is added to dout where either reads it.
#include "kernels/cuda/conv/conv_halo.cuh"
#include "kernels/cuda/norm_conv/conv_norm_joined_plan.cuh"
#include "kernels/cuda/norm_conv/conv_norm_run.cuh"

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

// What a joined launch is made of beside the tensors.
struct JoinedLaunch {
  Launch shape;
  unsigned weight_blocks, tiles, high;
  HaloPlan plan;
  GradientPlan of_weights;
  float* partials;
};

// launched.operator()<M, N, Block>(launch) with what serves the shape. Apart from
// norm_convolve_joined: in a template that was declared before, with its default argument, nvcc 13
// does not take these lambdas.
template <class Atom, class T, class Launched>
void run_joined(Stream stream, const Conv2dShape& s, const ConvProblem& p,
                const ConvSources<T>& sources, const StatsPrologue<T>& prologue,
                const JoinedWeights<T>& weights, Workspace workspace, const Launched& launched) {
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
    launched.template operator()<M, N, Block>(
        JoinedLaunch{{dim3(unsigned(blocks)), dim3(kHaloThreads), std::size_t(shared), stream},
                     unsigned(weight_blocks),
                     unsigned(plan.tiles()),
                     unsigned(high),
                     plan,
                     of_weights,
                     partials});
    return true;
  });
  require_argument(served, "norm_conv_vjp, joined: a shape that joins_norm_conv_vjp names expected",
                   s.kernel_h);
}

template <class Atom, class T>
struct LaunchJoined {
  const ConvProblem& p;
  const ConvSources<T>& sources;
  T* dy;
  const StatsPrologue<T>& prologue;
  const ActivationEpilogue<T>& epilogue;
  const JoinedWeights<T>& weights;

  template <int M, int N, class Block>
  void operator()(const JoinedLaunch& of) const {
    launch<&norm_conv_backward<Atom, M, N, Block>>(of.shape, of.weight_blocks, of.tiles, of.high, p,
                                                   of.plan, sources, dy, prologue, epilogue,
                                                   of.of_weights, weights, of.partials);
  }
};

}  // namespace

template <class Atom, class T>
void norm_convolve_joined(Stream stream, const Conv2dShape& shape, const ConvProblem& problem,
                          const ConvSources<T>& sources, T* dy, const StatsPrologue<T>& prologue,
                          const ActivationEpilogue<T>& epilogue, const JoinedWeights<T>& weights,
                          Workspace workspace) {
  run_joined<Atom>(stream, shape, problem, sources, prologue, weights, workspace,
                   LaunchJoined<Atom, T>{problem, sources, dy, prologue, epilogue, weights});
}

}  // namespace ek::kernels::EK_TARGET
