#pragma once
// The instances of the fused convolutions by atom, each in a file of its own.
#include "kernels/cuda/conv/conv_problem.cuh"
#include "kernels/cuda/norm_conv/conv_norm_tangent.cuh"
#include "kernels/cuda/norm_conv/conv_norm_window.cuh"

namespace ek::kernels::EK_TARGET {

template <class Atom, class T = typename Atom::Element>
void norm_convolve(Stream stream, const ConvProblem& problem, const ConvSources<T>& sources, T* out,
                   const NormPrologue<T>& prologue, const MomentsEpilogue& epilogue);

template <class Atom, class T = typename Atom::Element>
void norm_convolve_tangent(Stream stream, const ConvProblem& problem, const ConvSources<T>& sources,
                           T* out, const NormTangentPrologue<T>& prologue,
                           const TangentMomentsEpilogue<T>& epilogue);

// Of a problem of backward data.
template <class Atom, class T = typename Atom::Element>
void norm_convolve_vjp(Stream stream, const ConvProblem& problem, const ConvSources<T>& sources,
                       T* out, const StatsPrologue<T>& prologue,
                       const ActivationEpilogue<T>& epilogue);

// What the weight gradient reads and writes in the launch that has both passes.
template <class T>
struct JoinedWeights {
  const T* x;  // act where it was kept, else y
  const T* dout;
  KeptWindowPrologue<T> window;
  float* dweight;
};

// The same and the weight gradient, conv_norm_joined.cuh, for shapes that joins_norm_conv_vjp
// names.
template <class Atom, class T = typename Atom::Element>
void norm_convolve_joined(Stream stream, const Conv2dShape& shape, const ConvProblem& problem,
                          const ConvSources<T>& sources, T* dy, const StatsPrologue<T>& prologue,
                          const ActivationEpilogue<T>& epilogue, const JoinedWeights<T>& weights,
                          Workspace workspace);

}  // namespace ek::kernels::EK_TARGET
