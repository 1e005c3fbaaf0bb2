#pragma once
// norm_conv_forward (kernels/norm_conv.h) as one pass over the images: the convolution normalises
// what it reads and takes the statistics of what it writes, which a second, small kernel merges.
#include "kernels/cuda/primitives.cuh"
#include "kernels/norm_conv.h"

namespace ek::kernels::EK_TARGET {

// Whether the pass is for `shape`, T = float or bf16: its tile must fit into shared memory, and
// where the activation is `kept`, the tiles must cover the image.
template <class T>
bool fuses_norm_conv(const NormConvShape& shape, bool kept);

// Bytes of workspace that fused_norm_conv_forward wants.
template <class T>
std::size_t fused_norm_conv_workspace_bytes(const NormConvShape& shape);

// The bits of act and out are those of norm_act_forward and of conv2d_forward's version halo; the
// statistics are sums in another order. For shapes that fuses_norm_conv names, others throw Error.
// Statistics need images: with them a batch of 0 throws, too.
template <class T>
void fused_norm_conv_forward(Stream stream, const NormConvShape& shape,
                             const NormConvInput<T>& input, ConvPack weight,
                             const NormConvOutput<T>& output, Workspace workspace);

}  // namespace ek::kernels::EK_TARGET
