// The version "halo" of the convolution with tf32 products: conv_halo.cuh.
#include "kernels/cuda/conv/conv_halo_run.cuh"
#include "kernels/cuda/conv/conv_versions.cuh"

namespace ek::kernels::EK_TARGET {

template <>
void convolve_halo<Tf32Atom>(Stream stream, const ConvProblem& problem,
                             const ConvSources<float>& sources, float* out) {
  run_halo<Tf32Atom>(stream, problem, sources, out, NoPrologue(), NoEpilogue());
}

}  // namespace ek::kernels::EK_TARGET
