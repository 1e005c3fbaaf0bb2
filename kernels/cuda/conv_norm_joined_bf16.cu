// The joined norm_conv_vjp with bf16: conv_norm.h.
#include "kernels/cuda/conv_norm_joined.cuh"

namespace ek::kernels::EK_TARGET {

template <>
void norm_convolve_joined<Bf16Atom>(Stream stream, const Conv2dShape& shape,
                                    const ConvProblem& problem, const ConvSources<bf16>& sources,
                                    bf16* dy, const StatsPrologue<bf16>& prologue,
                                    const ActivationEpilogue<bf16>& epilogue,
                                    const JoinedWeights<bf16>& weights, Workspace workspace) {
  run_joined<Bf16Atom>(stream, shape, problem, sources, dy, prologue, epilogue, weights, workspace);
}

}  // namespace ek::kernels::EK_TARGET
