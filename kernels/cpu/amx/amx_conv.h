#pragma once
#include <optional>

#include "kernels/cpu/conv/slice_conv.h"

namespace ek::kernels::cpu {

// Convolutions by AMX tiles, forward, backward data and tangent (amx_conv_plan.h): of bf16 images,
// and of float images with the accuracy of float32. Empty or null where the CPU has no AMX or
// AmxConvPlan::fits has not the shape, which does not depend on the batch.
//
// Infinities may come out as NaN: with zero weights they are multiplied where records have empty
// halves, and a float image's infinity (and what bf16 rounds to one, above 3.38e38) has parts that
// are NaN. Float numbers below 2^-110 lose bits, as their smaller parts are denormal, which tiles
// take for zero.
template <class T>
std::optional<std::size_t> amx_pack_bytes(const Conv2dShape& shape, Conv2dPass pass);
template <class T>
void amx_pack(const Conv2dShape& shape, Conv2dPass pass, const float* ohwi, void* pack);
template <class T>
SliceConvPtr<T> amx_slice_conv(const Conv2dShape& slice, Conv2dPass pass);

}  // namespace ek::kernels::cpu
