// The fused norm_conv_jvp with tf32 products: conv_norm.h.
#include "kernels/cuda/norm_conv/conv_norm_launch.cuh"

namespace ek::kernels::EK_TARGET {

template decltype(norm_convolve_tangent<Tf32Atom>) norm_convolve_tangent<Tf32Atom>;

}  // namespace ek::kernels::EK_TARGET
