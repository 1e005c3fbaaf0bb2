// The fused norm_conv_jvp with tf32 products: conv_norm.h.
#include "kernels/cuda/conv_halo_run.cuh"
#include "kernels/cuda/conv_norm_run.cuh"

namespace ek::kernels::EK_TARGET {

template <>
void norm_convolve_tangent<Tf32Atom>(Stream stream, const ConvProblem& problem,
                                     const ConvSources<float>& sources, float* out,
                                     const NormTangentPrologue<float>& prologue,
                                     const TangentMomentsEpilogue<float>& epilogue) {
  run_halo<Tf32Atom>(stream, problem, sources, out, prologue, epilogue);
}

}  // namespace ek::kernels::EK_TARGET
