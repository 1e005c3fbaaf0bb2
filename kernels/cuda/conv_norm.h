#pragma once
// norm_conv_forward and norm_conv_jvp (kernels/norm_conv.h) as one pass over the images: the
// convolution normalises what it reads and takes the statistics of what it writes, which a second,
// small kernel merges.
#include "kernels/cuda/primitives.cuh"
#include "kernels/norm_conv.h"

namespace ek::kernels::EK_TARGET {

// Whether the passes are for `shape`, T = float or bf16: a tile must fit into shared memory, and
// where the activation (or its tangent) is `kept`, the tiles must cover the image.
template <class T>
bool fuses_norm_conv(const NormConvShape& shape, bool kept);

// Bytes of workspace that either pass wants for statistics.
template <class T>
std::size_t fused_norm_conv_workspace_bytes(const NormConvShape& shape);

// act and out are those of norm_act_forward and of conv2d_forward's version halo, bit for bit but
// for a device compiler's choice of fused multiply-adds; the statistics are sums in another order.
// For shapes that fuses_norm_conv names, others throw Error. Statistics need images: with them a
// batch of 0 throws, too.
template <class T>
void fused_norm_conv_forward(Stream stream, const NormConvShape& shape,
                             const NormConvInput<T>& input, ConvPack weight,
                             const NormConvOutput<T>& output, Workspace workspace);

// The same for norm_act_jvp and conv2d_tangent. At least one tangent must be there; output.act
// wants one of the activation's.
template <class T>
void fused_norm_conv_jvp(Stream stream, const NormConvShape& shape, const NormConvInput<T>& input,
                         const NormConvSaved<T>& saved, ConvPack weight,
                         const NormConvTangents<T>& tangents, const NormConvOutput<T>& output,
                         Workspace workspace);

}  // namespace ek::kernels::EK_TARGET
