// The fused norm_conv_jvp with products of float32 accuracy: conv_norm.h.
#include "kernels/cuda/norm_conv/conv_norm_launch.cuh"

namespace ek::kernels::EK_TARGET {

template decltype(norm_convolve_tangent<SplitAtom>) norm_convolve_tangent<SplitAtom>;

}  // namespace ek::kernels::EK_TARGET
