#pragma once
#include <optional>

#include "kernels/cpu/conv/slice_conv.h"

namespace ek::kernels::cpu {

// Convolution through oneDNN, T = float or bf16. Every slice runs on a primitive that is planned
// for one thread, so the bits cannot depend on the number of threads. Primitives are made at the
// first call for a shape and pass and kept. Empty or null where oneDNN is not built in or has no
// implementation better than its reference loops; that does not depend on the batch.
template <class T>
std::optional<std::size_t> onednn_pack_bytes(const Conv2dShape& shape, Conv2dPass pass);
template <class T>
void onednn_pack(const Conv2dShape& shape, Conv2dPass pass, const float* ohwi, void* pack);
template <class T>
SliceConvPtr<T> onednn_slice_conv(const Conv2dShape& slice, Conv2dPass pass);
template <class T>
SliceGradientPtr<T> onednn_slice_gradient(const Conv2dShape& slice);

}  // namespace ek::kernels::cpu
