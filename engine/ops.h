#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "engine/tensor/number.h"
#include "engine/tensor/tensor.h"
#include "kernels/base/float_products.h"

// Every differentiable operation, as a function of tensors. Each has a vjp and a jvp and works at
// any order; each lives in the engine/ops/ file of its family, rules beside the forward. Arguments
// of an op share one floating-point dtype and device unless said otherwise; shapes that do not fit
// throw an Error that names the op and prints them. Integer arguments have no derivative.
//
// float32 and float64 work everywhere, bfloat16 in what activations pass through: the identity ops,
// add, gate, convolution, normalisation, global_avg_pool and subsample_pad. Beside bfloat16
// activations, statistics, weights, their gradients and pooled features are float32
// (accumulation_dtype). Sums run in float32 and a result is rounded once, when it is stored.
namespace ek::ops {

// ---- identity ---------------------------------------------------------------------------------
Tensor reshape(const Tensor& x, const Shape& shape);
// The same value under a new identity.
Tensor alias(const Tensor& x);
// The value of x as a constant: no derivative passes.
Tensor stop_gradient(const Tensor& x);
// Conversion between floating-point dtypes; cotangents are converted back.
Tensor cast(const Tensor& x, DType dtype);
// A copy on another device; cotangents are copied back. Ops take tensors of one device.
Tensor to_device(const Tensor& x, Device device);

// ---- elementwise, equal shapes ------------------------------------------------------------------
Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
// a where b > 0, else 0; the derivative with respect to b is zero (almost everywhere).
Tensor gate(const Tensor& a, const Tensor& b);
// scale * x + shift; a scale in memory lies on the device of x
Tensor affine(const Tensor& x, const Number& scale, double shift = 0);
Tensor neg(const Tensor& x);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor rsqrt(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor square(const Tensor& x);
// max(x, 0); derivative 0 at 0.
Tensor relu(const Tensor& x);

// ---- broadcasting and sums ----------------------------------------------------------------------
// scale * x, repeated along its extent-1 dimensions (x has the rank of `shape`; reshape first if
// not).
Tensor broadcast_to(const Tensor& x, const Shape& shape, double scale = 1);
// scale * the sum over the dimensions where `shape` has extent 1.
Tensor sum_to(const Tensor& x, const Shape& shape, double scale = 1);
Tensor sum(const Tensor& x);   // scalar, rank 0
Tensor mean(const Tensor& x);  // scalar, rank 0

// ---- gathers (index: int64) ---------------------------------------------------------------------
// out[i, ...] = x[index[i], ...]; index [n] within x's first extent.
Tensor take(const Tensor& x, const Tensor& index);
// out[s, ...] = sum of x[i, ...] over index[i] = s; out has `segments` rows. Transpose of take.
Tensor segment_sum(const Tensor& x, const Tensor& index, std::int64_t segments);
// out[i] = x[i, index[i]];  x [n, columns]
Tensor pick(const Tensor& x, const Tensor& index);
// out[i, index[i]] = x[i], zero elsewhere. Transpose of pick.
Tensor place(const Tensor& x, const Tensor& index, std::int64_t columns);

// ---- products -----------------------------------------------------------------------------------
// op(a) op(b), matrices; op transposes where asked.
Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a = false, bool transpose_b = false);
// x weight^T + bias;  x [n, in], weight [out, in], bias [out] or undefined.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias);
// scale * cos(x_i, weight_k) [n, out]; scale is a one-element tensor or undefined (1).
// Norms are sqrt(|x|^2 + 1e-24): PyTorch's normalize clamps at 1e-12, equal for any norm above it.
Tensor cosine_linear(const Tensor& x, const Tensor& weight, const Tensor& scale = {});

// ---- convolution, NHWC and OHWI -----------------------------------------------------------------
// Images may be bfloat16; weights and their cotangents are then float32. tf32 products hold for all
// derivatives of the op, too. Weights are packed for a
// backend once for a version of their contents, and all uses share the pack.
struct Conv2dOptions {
  std::array<std::int64_t, 2> stride{1, 1}, padding{0, 0};
  std::int64_t groups = 1;
  // Of float32 images; other dtypes, and the CPU, have exact products alone.
  kernels::FloatProducts products = kernels::FloatProducts::exact;
};
Tensor conv2d(const Tensor& x, const Tensor& weight, const Conv2dOptions& options = {});
// The two transposes, bilinear ops of their own: cotangent of x, cotangent of weight.
Tensor conv2d_backward_data(const Tensor& dy, const Tensor& weight, const Shape& x_shape,
                            const Conv2dOptions& options);
Tensor conv2d_backward_weights(const Tensor& x, const Tensor& dy, const Shape& weight_shape,
                               const Conv2dOptions& options);

// ---- normalisation ------------------------------------------------------------------------------
struct ChannelStats {
  Tensor mean, var;  // [channels], var biased
};
// Statistics over all but the last dimension, in the accumulation dtype of y.
ChannelStats channel_stats(const Tensor& y);
// [relu](gamma (y - mean) rsqrt(var + eps) + beta [+ shortcut]); all of mean, var, gamma, beta are
// differentiable and of the accumulation dtype of y; shortcut, like y, may be undefined.
struct NormActOptions {
  double eps = 1e-5;
  bool relu = false;
};
Tensor norm_act(const Tensor& y, const ChannelStats& stats, const Tensor& gamma, const Tensor& beta,
                const Tensor& shortcut, const NormActOptions& options);
// norm_act of the batch's own statistics: classical training-mode batch norm.
Tensor batch_norm(const Tensor& y, const Tensor& gamma, const Tensor& beta, const Tensor& shortcut,
                  const NormActOptions& options);

// What flows between convolutions: a convolution's output with its statistics. In
// evaluation mode the statistics are the running ones.
struct PreNorm {
  Tensor y;
  ChannelStats stats;
};
// conv2d, then its statistics: those of the batch, or `running` where given (evaluation mode).
PreNorm conv_stats(const Tensor& x, const Tensor& weight, const Conv2dOptions& options,
                   const std::optional<ChannelStats>& running);
// The unit of the models: normalise, [add shortcut], ReLU, convolve, statistics, in one kernel. An
// activation that nobody else wants is better not kept: the derivatives compute it again.
struct NormConv {
  Tensor activation;  // what the convolution consumed, for a later shortcut; undefined if not kept
  PreNorm out;
};
NormConv norm_conv(const PreNorm& in, const Tensor& gamma, const Tensor& beta,
                   const Tensor& shortcut, const NormActOptions& norm, const Tensor& weight,
                   const Conv2dOptions& conv, const std::optional<ChannelStats>& running,
                   bool keep_activation = true);

// ---- pooling, NHWC ------------------------------------------------------------------------------
struct Pool2dOptions {
  std::array<std::int64_t, 2> kernel_size{2, 2}, stride{2, 2}, padding{0, 0};
};
Tensor max_pool2d(const Tensor& x, const Pool2dOptions& options);
Tensor avg_pool2d(const Tensor& x, const Pool2dOptions& options);  // padding counts as zeros
// [n, c], in the accumulation dtype of x
Tensor global_avg_pool(const Tensor& x);
// The linear head of a network, over its last activation x: features = global_avg_pool(x), logits =
// linear(features, weight, bias), where bias may be undefined. A kernel per pass.
struct PooledLinear {
  Tensor features, logits;  // [n, c] and [n, out], in the accumulation dtype of x, as the weights
};
PooledLinear pooled_linear(const Tensor& x, const Tensor& weight, const Tensor& bias);
// Option-A shortcut: every `stride`-th row and column, channels zero-padded on both sides.
Tensor subsample_pad(const Tensor& x, std::int64_t out_channels, std::int64_t stride);

// ---- classification losses, per sample ----------------------------------------------------------
Tensor softmax(const Tensor& x);    // rows of [n, c]
Tensor logsumexp(const Tensor& x);  // [n]
// The fused loss of kernels/softmax.h: losses [n], unweighted. Tensors of the options are constants
// (tracked ones are refused).
struct SoftmaxLossOptions {
  double scale = 1, label_smoothing = 0;
  Tensor offset{};   // [c], e.g. log class counts
  Tensor margin{};   // [c]
  Tensor mask{};     // uint8 [n, c]
  Tensor targets{};  // [n, c] soft targets, instead of labels
};
Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& labels,
                             const SoftmaxLossOptions& options = {});

// ---- collectives --------------------------------------------------------------------------------
// Sum over the ranks of the current communicator; its own transpose.
Tensor all_reduce(const Tensor& x);
// Concatenation over ranks along the first dimension.
Tensor all_gather(const Tensor& x);

}  // namespace ek::ops
