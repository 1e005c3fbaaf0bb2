#pragma once
// The fused convolutions of conv_norm_run.cuh but the joined one, for the files of their instances.
#include "kernels/cuda/conv/conv_halo_run.cuh"
#include "kernels/cuda/norm_conv/conv_norm_run.cuh"

namespace ek::kernels::EK_TARGET {

template <class Atom, class T>
void norm_convolve(Stream stream, const ConvProblem& problem, const ConvSources<T>& sources, T* out,
                   const NormPrologue<T>& prologue, const MomentsEpilogue& epilogue) {
  run_halo<Atom>(stream, problem, sources, out, prologue, epilogue);
}

template <class Atom, class T>
void norm_convolve_tangent(Stream stream, const ConvProblem& problem, const ConvSources<T>& sources,
                           T* out, const NormTangentPrologue<T>& prologue,
                           const TangentMomentsEpilogue<T>& epilogue) {
  run_halo<Atom>(stream, problem, sources, out, prologue, epilogue);
}

template <class Atom, class T>
void norm_convolve_vjp(Stream stream, const ConvProblem& problem, const ConvSources<T>& sources,
                       T* out, const StatsPrologue<T>& prologue,
                       const ActivationEpilogue<T>& epilogue) {
  run_halo<Atom>(stream, problem, sources, out, prologue, epilogue);
}

}  // namespace ek::kernels::EK_TARGET
