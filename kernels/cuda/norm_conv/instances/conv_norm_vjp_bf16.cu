// The fused norm_conv_vjp with bf16: conv_norm.h.
#include "kernels/cuda/norm_conv/conv_norm_launch.cuh"

namespace ek::kernels::EK_TARGET {

template decltype(norm_convolve_vjp<Bf16Atom>) norm_convolve_vjp<Bf16Atom>;

}  // namespace ek::kernels::EK_TARGET
