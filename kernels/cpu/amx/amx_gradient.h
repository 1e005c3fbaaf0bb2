#pragma once
#include "kernels/cpu/conv/slice_conv.h"

namespace ek::kernels::cpu {

// Weight gradients of bf16 images by AMX tiles (amx_gradient_plan.h). Null where the CPU has none
// or the shape does not fit: one group, an output whose sides are those of the input over the
// stride
// ("same" padding), rows of even length. Products with the padding are computed, as zero times x: a
// NaN or infinity of x spoils every weight of its channel.
SliceGradientPtr<bf16> amx_slice_gradient(const Conv2dShape& slice);

}  // namespace ek::kernels::cpu
