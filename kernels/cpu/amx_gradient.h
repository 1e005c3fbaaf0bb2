#pragma once
#include "kernels/cpu/slice_conv.h"

namespace ek::kernels::cpu {

// Weight gradients of bf16 images by AMX tiles. Null where the CPU has none or the shape does not
// fit: one group, and an output whose sides are those of the input over the stride (so "same"
// padding, even sizes for a stride of 2), at least eight input channels.
SliceGradientPtr<bf16> amx_slice_gradient(const Conv2dShape& slice);

}  // namespace ek::kernels::cpu
