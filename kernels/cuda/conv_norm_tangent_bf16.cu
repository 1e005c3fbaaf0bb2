// The fused norm_conv_jvp with bf16: conv_norm.h.
#include "kernels/cuda/conv_halo_run.cuh"
#include "kernels/cuda/conv_norm_run.cuh"

namespace ek::kernels::EK_TARGET {

template <>
void norm_convolve_tangent<Bf16Atom>(Stream stream, const ConvProblem& problem,
                                     const ConvSources<bf16>& sources, bf16* out,
                                     const NormTangentPrologue<bf16>& prologue,
                                     const TangentMomentsEpilogue<bf16>& epilogue) {
  run_halo<Bf16Atom>(stream, problem, sources, out, prologue, epilogue);
}

}  // namespace ek::kernels::EK_TARGET
