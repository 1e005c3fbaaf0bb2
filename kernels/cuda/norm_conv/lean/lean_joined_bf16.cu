// The lean norm_conv_vjp with bf16: conv_norm.h.
#include "kernels/cuda/norm_conv/lean/lean_joined.cuh"

namespace ek::kernels::EK_TARGET {

template decltype(norm_convolve_joined_lean<Bf16Atom, Bf16Atom::Element>)
    norm_convolve_joined_lean<Bf16Atom, Bf16Atom::Element>;

}  // namespace ek::kernels::EK_TARGET
