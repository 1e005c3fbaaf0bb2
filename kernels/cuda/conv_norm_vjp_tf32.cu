// The fused norm_conv_vjp with tf32 products: conv_norm.h.
#include "kernels/cuda/conv_halo_run.cuh"
#include "kernels/cuda/conv_norm_run.cuh"

namespace ek::kernels::EK_TARGET {

template <>
void norm_convolve_vjp<Tf32Atom>(Stream stream, const ConvProblem& problem,
                                 const ConvSources<float>& sources, float* out,
                                 const StatsPrologue<float>& prologue,
                                 const ActivationEpilogue<float>& epilogue) {
  run_halo<Tf32Atom>(stream, problem, sources, out, prologue, epilogue);
}

}  // namespace ek::kernels::EK_TARGET
