#pragma once
// The instances of the fused convolutions by atom, each in a file of its own.
#include "kernels/cuda/conv_norm_tangent.cuh"
#include "kernels/cuda/conv_norm_window.cuh"
#include "kernels/cuda/conv_problem.cuh"

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

template <>
void norm_convolve<Tf32Atom>(Stream, const ConvProblem&, const ConvSources<float>&, float*,
                             const NormPrologue<float>&, const MomentsEpilogue&);
template <>
void norm_convolve<SplitAtom>(Stream, const ConvProblem&, const ConvSources<float>&, float*,
                              const NormPrologue<float>&, const MomentsEpilogue&);
template <>
void norm_convolve<Bf16Atom>(Stream, const ConvProblem&, const ConvSources<bf16>&, bf16*,
                             const NormPrologue<bf16>&, const MomentsEpilogue&);
template <>
void norm_convolve_tangent<Tf32Atom>(Stream, const ConvProblem&, const ConvSources<float>&, float*,
                                     const NormTangentPrologue<float>&,
                                     const TangentMomentsEpilogue<float>&);
template <>
void norm_convolve_tangent<SplitAtom>(Stream, const ConvProblem&, const ConvSources<float>&, float*,
                                      const NormTangentPrologue<float>&,
                                      const TangentMomentsEpilogue<float>&);
template <>
void norm_convolve_tangent<Bf16Atom>(Stream, const ConvProblem&, const ConvSources<bf16>&, bf16*,
                                     const NormTangentPrologue<bf16>&,
                                     const TangentMomentsEpilogue<bf16>&);
template <>
void norm_convolve_vjp<Tf32Atom>(Stream, const ConvProblem&, const ConvSources<float>&, float*,
                                 const StatsPrologue<float>&, const ActivationEpilogue<float>&);
template <>
void norm_convolve_vjp<SplitAtom>(Stream, const ConvProblem&, const ConvSources<float>&, float*,
                                  const StatsPrologue<float>&, const ActivationEpilogue<float>&);
template <>
void norm_convolve_vjp<Bf16Atom>(Stream, const ConvProblem&, const ConvSources<bf16>&, bf16*,
                                 const StatsPrologue<bf16>&, const ActivationEpilogue<bf16>&);
template <>
void norm_convolve_joined<Tf32Atom>(Stream, const Conv2dShape&, const ConvProblem&,
                                    const ConvSources<float>&, float*, const StatsPrologue<float>&,
                                    const ActivationEpilogue<float>&, const JoinedWeights<float>&,
                                    Workspace);
template <>
void norm_convolve_joined<SplitAtom>(Stream, const Conv2dShape&, const ConvProblem&,
                                     const ConvSources<float>&, float*, const StatsPrologue<float>&,
                                     const ActivationEpilogue<float>&, const JoinedWeights<float>&,
                                     Workspace);
template <>
void norm_convolve_joined<Bf16Atom>(Stream, const Conv2dShape&, const ConvProblem&,
                                    const ConvSources<bf16>&, bf16*, const StatsPrologue<bf16>&,
                                    const ActivationEpilogue<bf16>&, const JoinedWeights<bf16>&,
                                    Workspace);

}  // namespace ek::kernels::EK_TARGET
