// The version "halo" of the convolution with bf16: conv_halo.cuh.
#include "kernels/cuda/conv/conv_halo_run.cuh"
#include "kernels/cuda/conv/conv_versions.cuh"

namespace ek::kernels::EK_TARGET {

template <>
void convolve_halo<Bf16Atom>(Stream stream, const ConvProblem& problem,
                             const ConvSources<bf16>& sources, bf16* out) {
  run_halo<Bf16Atom>(stream, problem, sources, out, NoPrologue(), NoEpilogue());
}

}  // namespace ek::kernels::EK_TARGET
