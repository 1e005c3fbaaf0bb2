// The version "halo" of the convolution with products of float32 accuracy: conv_halo.cuh.
#include "kernels/cuda/conv/conv_halo_run.cuh"
#include "kernels/cuda/conv/conv_versions.cuh"

namespace ek::kernels::EK_TARGET {

template <>
void convolve_halo<SplitAtom>(Stream stream, const ConvProblem& problem,
                              const ConvSources<float>& sources, float* out) {
  run_halo<SplitAtom>(stream, problem, sources, out, NoPrologue(), NoEpilogue());
}

}  // namespace ek::kernels::EK_TARGET
