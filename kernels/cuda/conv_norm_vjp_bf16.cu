// The fused norm_conv_vjp with bf16: conv_norm.h.
#include "kernels/cuda/conv_halo_run.cuh"
#include "kernels/cuda/conv_norm_run.cuh"

namespace ek::kernels::EK_TARGET {

template <>
void norm_convolve_vjp<Bf16Atom>(Stream stream, const ConvProblem& problem,
                                 const ConvSources<bf16>& sources, bf16* out,
                                 const StatsPrologue<bf16>& prologue,
                                 const ActivationEpilogue<bf16>& epilogue) {
  run_halo<Bf16Atom>(stream, problem, sources, out, prologue, epilogue);
}

}  // namespace ek::kernels::EK_TARGET
