#pragma once
// norm_conv (kernels/norm_conv.h) in the fewest passes over the images. Forward and tangent are
// one: the convolution normalises what it reads and takes the statistics of what it writes. The
// cotangents are two: backward data, with the derivatives of the statistics on one side and of the
// activation on the other, and the weight gradient. Whatever the tiles of a pass leave of a channel
// or a weight is merged by its last block, so a pass is one launch; and where their tiles fit
// together, both passes of the cotangents are one.
#include "kernels/cuda/base/primitives.cuh"
#include "kernels/cuda/conv_weights/conv_weights.h"
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

// The same for the shapes of lean/lean_tile.cuh, in a third of the instructions; act and out have
// the bits that the fused pass gives them, the statistics are sums in another order. Only for calls
// that leans_norm_conv names, others throw Error: one that normalises, has a ReLU and wants
// statistics, with images aligned to 16 bytes.
template <class T>
bool leans_norm_conv(const NormConvShape& shape, const NormConvInput<T>& input,
                     const NormConvOutput<T>& output);
// 0 for shapes that it does not serve.
template <class T>
std::size_t lean_norm_conv_workspace_bytes(const NormConvShape& shape);
template <class T>
void lean_norm_conv_forward(Stream stream, const NormConvShape& shape,
                            const NormConvInput<T>& input, ConvPack weight,
                            const NormConvOutput<T>& output, Workspace workspace);

// fused_norm_conv_forward for norm_act_jvp and conv2d_tangent. At least one tangent must be there;
// output.act wants one of the activation's.
template <class T>
void fused_norm_conv_jvp(Stream stream, const NormConvShape& shape, const NormConvInput<T>& input,
                         const NormConvSaved<T>& saved, ConvPack weight,
                         const NormConvTangents<T>& tangents, const NormConvOutput<T>& output,
                         Workspace workspace);

// Whether the cotangents are for `shape`, T = float or bf16: it normalises, has images, a stride of
// 1 and padding below the kernel's size, and tiles that fit into shared memory.
template <class T>
bool fuses_norm_conv_vjp(const NormConvShape& shape);

// Whether both passes may be one launch: of those shapes the ones with a kernel of 3 x 3 and, of a
// group, 16 channels at most on either side or more on both, whose tiles fit into 100 KiB.
template <class T>
bool joins_norm_conv_vjp(const NormConvShape& shape);

template <class T>
std::size_t fused_norm_conv_vjp_workspace_bytes(const NormConvShape& shape);

// dy, dshortcut and dweight are those of channel_stats_vjp, of version halo of
// conv2d_backward_data, of norm_act_vjp and of conv2d_backward_weights (version mma where act was
// not kept), bit for bit but for a device compiler's choice of fused multiply-adds; the gradients
// of channels are sums in another order. For shapes that fuses_norm_conv_vjp names and a dy that is
// wanted, else Error. dshortcut may be dact; no other gradient may lie on what is read. `joined`:
// in one launch, by the same operations in the same order (of dweight those of version mma, kept or
// not), so with the same bits but, again, for what a device compiler fuses in one kernel and not in
// the other; for shapes that joins_norm_conv_vjp names. `lean`: that launch with its sizes as
// constants, for calls that leans_norm_conv_vjp names.
enum class VjpLaunch { two, joined, lean };
template <class T>
void fused_norm_conv_vjp(Stream stream, const NormConvShape& shape, const NormConvInput<T>& input,
                         const NormConvSaved<T>& saved, ConvPack weight,
                         const NormConvCotangents<T>& cotangents,
                         const NormConvGradients<T>& gradients, VjpLaunch how, Workspace workspace);

// Of shapes that joins_norm_conv_vjp names those of lean/lean_tile.cuh, with products of bf16 or
// tf32 (those of float32's accuracy would spill registers) and images aligned to 16 bytes.
template <class T>
bool leans_norm_conv_vjp(const NormConvShape& shape, const NormConvInput<T>& input,
                         const NormConvSaved<T>& saved, const NormConvCotangents<T>& cotangents,
                         const NormConvGradients<T>& gradients);

// What of it is the weight gradient of an activation that was not kept: the version mma of
// conv2d_backward_weights, its workspace with it, which computes the activation where it reads y.
// For shapes that fuses_norm_weights names.
template <class T>
bool fuses_norm_weights(const Conv2dShape& shape);
template <class T>
void norm_backward_weights(Stream stream, const NormConvShape& shape, const NormConvInput<T>& input,
                           const T* dout, float* dweight, Workspace workspace);

}  // namespace ek::kernels::EK_TARGET
