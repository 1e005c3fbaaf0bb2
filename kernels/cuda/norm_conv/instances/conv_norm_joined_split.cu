// The joined norm_conv_vjp with products of float32 accuracy: conv_norm.h.
#include "kernels/cuda/norm_conv/conv_norm_joined.cuh"

namespace ek::kernels::EK_TARGET {

template decltype(norm_convolve_joined<SplitAtom>) norm_convolve_joined<SplitAtom>;

}  // namespace ek::kernels::EK_TARGET
