// The joined norm_conv_vjp with tf32 products: conv_norm.h.
#include "kernels/cuda/conv_norm_joined.cuh"

namespace ek::kernels::EK_TARGET {

template <>
void norm_convolve_joined<Tf32Atom>(Stream stream, const Conv2dShape& shape,
                                    const ConvProblem& problem, const ConvSources<float>& sources,
                                    float* dy, const StatsPrologue<float>& prologue,
                                    const ActivationEpilogue<float>& epilogue,
                                    const JoinedWeights<float>& weights, Workspace workspace) {
  run_joined<Tf32Atom>(stream, shape, problem, sources, dy, prologue, epilogue, weights, workspace);
}

}  // namespace ek::kernels::EK_TARGET
