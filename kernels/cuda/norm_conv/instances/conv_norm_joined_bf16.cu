// The joined norm_conv_vjp with bf16: conv_norm.h.
#include "kernels/cuda/norm_conv/conv_norm_joined.cuh"

namespace ek::kernels::EK_TARGET {

template decltype(norm_convolve_joined<Bf16Atom>) norm_convolve_joined<Bf16Atom>;

}  // namespace ek::kernels::EK_TARGET
