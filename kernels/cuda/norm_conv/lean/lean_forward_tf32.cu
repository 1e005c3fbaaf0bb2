// The lean norm_conv_forward with tf32 products: conv_norm.h.
#include "kernels/cuda/norm_conv/lean/lean_forward.cuh"

namespace ek::kernels::EK_TARGET {

template decltype(norm_convolve_lean<Tf32Atom, Tf32Atom::Element>)
    norm_convolve_lean<Tf32Atom, Tf32Atom::Element>;

}  // namespace ek::kernels::EK_TARGET
