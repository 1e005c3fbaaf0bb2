// The lean norm_conv_forward with products of float32 accuracy: conv_norm.h.
#include "kernels/cuda/norm_conv/lean/lean_forward.cuh"

namespace ek::kernels::EK_TARGET {

template decltype(norm_convolve_lean<SplitAtom, SplitAtom::Element>)
    norm_convolve_lean<SplitAtom, SplitAtom::Element>;

}  // namespace ek::kernels::EK_TARGET
