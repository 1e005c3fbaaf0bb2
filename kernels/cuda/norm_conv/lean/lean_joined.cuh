#pragma once
// The joined cotangents (conv_norm_joined.cuh) with their plans as constants: the same operations
// in the same order without the divisions by sizes, which are most of what the general kernel runs.
#include "kernels/cuda/norm_conv/conv_norm_joined.cuh"
#include "kernels/cuda/norm_conv/lean/lean_plan.cuh"
#include "kernels/cuda/norm_conv/lean/lean_run.cuh"

namespace ek::kernels::EK_TARGET {
namespace {

// KeptWindowPrologue where it is known whether act was kept.
template <class T, bool kKept>
struct LeanWindowPrologue : NormWindowPrologue<T> {
  template <int channels>
  using Factors = typename NormWindowPrologue<T>::template Factors<channels>;

  __device__ static constexpr bool computes() { return !kKept; }

  template <int channels>
  __device__ void fill(Factors<channels>& factors, int channel, int existing) const {
    if constexpr (!kKept) NormWindowPrologue<T>::fill(factors, channel, existing);
  }
};

template <class Atom, int M, int N, class Block, class Shape, bool kKept,
          class T = typename Atom::Element>
__global__ void __launch_bounds__(kHaloThreads, 3)
    norm_conv_backward_lean(int batch, unsigned weight_blocks, unsigned tiles, unsigned high,
                            ConvSources<T> sources, T* dy, StatsPrologue<T> prologue,
                            ActivationEpilogue<T> epilogue, JoinedWeights<T> weights,
                            float* partials) {
  const unsigned block = blockIdx.x;
  if (block >= weight_blocks) {
    const ConvProblem p = lean_problem<T, Shape>(batch);
    const HaloPlan plan = lean_halo<T, Shape>(batch);
    // What leans_norm_conv_vjp and the joined launch promise, for the compiler to know.
    sources.count = 1;
    prologue.stored = nullptr;
    epilogue.vectors = true;
    convolve_tile<Atom, M, N, true>(p, plan, sources, dy, prologue, epilogue,
                                    BlockPlace::flat(block - weight_blocks, tiles, high));
  } else {
    const GradientPlan p = lean_gradient<Block, Shape>(batch);
    add_share<typename ProductOf<Atom>::type, Block>(
        p, weights.x, weights.dout, partials, weights.dweight,
        LeanWindowPrologue<T, kKept>{weights.window}, StatsRowPrologue<T>{prologue},
        BlockPlace::flat(block, unsigned(p.splits), unsigned(p.channel_blocks)));
  }
}

template <class Atom, class T>
struct LaunchJoinedLean {
  const Conv2dShape& s;
  LaunchJoined<Atom, T> of_call;

  template <int M, int N, class Block>
  void operator()(const JoinedLaunch& of) const {
    with_lean_shape(s, [&]<class Shape>() {
      if constexpr (Block::rows == Shape::channels && (M == 4) == (Shape::channels == 16)) {
        const bool same = is_lean<Block, Shape, T>(of_call.p, of.plan, of.of_weights);
        require_argument(same, "norm_conv_vjp, lean: the plans of its shape expected", s.in_c);
        const auto run = [&](auto kept) {
          launch<&norm_conv_backward_lean<Atom, M, N, Block, Shape, kept.value>>(
              of.shape, int(s.batch), of.weight_blocks, of.tiles, of.high, of_call.sources,
              of_call.dy, of_call.prologue, of_call.epilogue, of_call.weights, of.partials);
        };
        of_call.weights.window.kept ? run(std::true_type()) : run(std::false_type());
      }
    });
  }
};

}  // namespace

template <class Atom, class T>
void norm_convolve_joined_lean(Stream stream, const Conv2dShape& shape, const ConvProblem& problem,
                               const ConvSources<T>& sources, T* dy,
                               const StatsPrologue<T>& prologue,
                               const ActivationEpilogue<T>& epilogue,
                               const JoinedWeights<T>& weights, Workspace workspace) {
  run_joined<Atom>(
      stream, shape, problem, sources, prologue, weights, workspace,
      LaunchJoinedLean<Atom, T>{shape, {problem, sources, dy, prologue, epilogue, weights}});
}

}  // namespace ek::kernels::EK_TARGET
