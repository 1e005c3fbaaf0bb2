#pragma once
// The instances of the lean norm_conv by atom, each in a file of its own.
#include "kernels/cuda/norm_conv/conv_norm_run.cuh"
#include "kernels/cuda/norm_conv/lean/lean_tile.cuh"

namespace ek::kernels::EK_TARGET {

// What the lean norm_conv_forward reads and writes; images are aligned to 16 bytes.
template <class T>
struct LeanForward {
  NormConvInput<T> input;
  const std::uint32_t* pack;
  float eps;
  T *act, *out;  // act: null where it is not kept
  TilePair* pairs;
  MergeMoments rule;
};

// For shapes that with_lean_shape knows.
template <class Atom, class T>
void norm_convolve_lean(Stream stream, const Conv2dShape& shape, const LeanForward<T>& in);

// norm_convolve_joined for them, all images aligned to 16 bytes; not of SplitAtom.
template <class Atom, class T>
void norm_convolve_joined_lean(Stream stream, const Conv2dShape& shape, const ConvProblem& problem,
                               const ConvSources<T>& sources, T* dy,
                               const StatsPrologue<T>& prologue,
                               const ActivationEpilogue<T>& epilogue,
                               const JoinedWeights<T>& weights, Workspace workspace);

}  // namespace ek::kernels::EK_TARGET
