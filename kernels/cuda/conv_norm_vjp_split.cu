// The fused norm_conv_vjp with products of float32 accuracy: conv_norm.h.
#include "kernels/cuda/conv_halo_run.cuh"
#include "kernels/cuda/conv_norm_run.cuh"

namespace ek::kernels::EK_TARGET {

template <>
void norm_convolve_vjp<SplitAtom>(Stream stream, const ConvProblem& problem,
                                  const ConvSources<float>& sources, float* out,
                                  const StatsPrologue<float>& prologue,
                                  const ActivationEpilogue<float>& epilogue) {
  run_halo<SplitAtom>(stream, problem, sources, out, prologue, epilogue);
}

}  // namespace ek::kernels::EK_TARGET
