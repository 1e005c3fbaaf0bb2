#pragma once
// The tensor-core versions of the convolution, by atom (conv_atoms.cuh); each is specialised in a
// file of its own.
#include "kernels/cuda/conv/conv_atoms.cuh"
#include "kernels/cuda/conv/conv_problem.cuh"

namespace ek::kernels::EK_TARGET {

// conv_mma.cuh: every shape.
template <class Atom>
void convolve_mma(Stream stream, const ConvProblem& problem,
                  const ConvSources<typename Atom::Element>& sources, typename Atom::Element* out);

// conv_halo.cuh: shapes whose tile with halo fits into shared memory; others throw Error.
template <class Atom>
void convolve_halo(Stream stream, const ConvProblem& problem,
                   const ConvSources<typename Atom::Element>& sources, typename Atom::Element* out);

template <>
void convolve_mma<Tf32Atom>(Stream, const ConvProblem&, const ConvSources<float>&, float*);
template <>
void convolve_mma<SplitAtom>(Stream, const ConvProblem&, const ConvSources<float>&, float*);
template <>
void convolve_mma<Bf16Atom>(Stream, const ConvProblem&, const ConvSources<bf16>&, bf16*);
template <>
void convolve_halo<Tf32Atom>(Stream, const ConvProblem&, const ConvSources<float>&, float*);
template <>
void convolve_halo<SplitAtom>(Stream, const ConvProblem&, const ConvSources<float>&, float*);
template <>
void convolve_halo<Bf16Atom>(Stream, const ConvProblem&, const ConvSources<bf16>&, bf16*);

}  // namespace ek::kernels::EK_TARGET
