#pragma once
#include "kernels/conv.h"
#include "kernels/norm.h"

namespace ek::kernels {

// The unit that models are made of: batch norm with the statistics that the producer
// of its input left, ReLU and shortcut, then a convolution and the statistics of its output.
//
//   act = [relu](gamma (y - mean) rsqrt(var + eps) + beta [+ shortcut])      norm_act of norm.h
//   out = conv(act, weight)                                                  conv.h
//   out_mean, out_var = the statistics of out over batch and pixels          channel_stats of
//   norm.h
//
// y, shortcut and act are the convolution's input [batch, in_h, in_w, in_c] of T, out its output of
// T; mean, var, gamma, beta are [in_c], out_mean, out_var [out_c] of Acc<T>. The maths is that of
// the three kernels; here each part of the batch runs through all of them while it is in the cache.
// T = bf16 rounds act and out once, where they are stored, and statistics are those of out as
// stored. Sums run over fixed slices of the batch, in order.
//
// Without normalisation (the first layer of a network) y itself is convolved: `normalizes` is
// false, act is y, and what concerns mean, var, gamma, beta and shortcut is ignored.
struct NormConvShape {
  Conv2dShape conv;
  double eps = 1e-5;
  bool relu = true;
  bool normalizes = true;
};

enum class NormConvPass { forward, vjp, jvp };

template <class B, class T>
std::size_t norm_conv_workspace_bytes(const NormConvShape& shape, NormConvPass pass);

template <class T>
struct NormConvInput {
  const T* y;
  const T* shortcut;  // null: none
  const Acc<T>* mean;
  const Acc<T>* var;
  const Acc<T>* gamma;
  const Acc<T>* beta;
};

// `act` null: not kept. `out_mean`, `out_var` null: no statistics.
template <class T>
struct NormConvOutput {
  T* act;
  T* out;
  Acc<T>* out_mean;
  Acc<T>* out_var;
};

// weight: pack of Conv2dPass::forward.
template <class B, class T>
void norm_conv_forward(Stream stream, const NormConvShape& shape, const NormConvInput<T>& input,
                       ConvPack weight, const NormConvOutput<T>& output, Workspace workspace);

// What forward left, for the derivatives. act null: it was not kept, and each slice computes it
// again, with the same bits. out and out_mean are read only where statistics have a derivative:
// null without.
template <class T>
struct NormConvSaved {
  const T* act;
  const T* out;
  const Acc<T>* out_mean;
};

// Cotangents of the four outputs; dact, and dout_mean with dout_var, may be null (zero).
template <class T>
struct NormConvCotangents {
  const T* dact;
  const T* dout;
  const Acc<T>* dout_mean;
  const Acc<T>* dout_var;
};

// Cotangents of the inputs. dy null: of all, only dweight is wanted (the first layer).
template <class T>
struct NormConvGradients {
  T* dy;
  T* dshortcut;  // null: not wanted
  Acc<T>* dmean;
  Acc<T>* dvar;
  Acc<T>* dgamma;
  Acc<T>* dbeta;
  Acc<T>* dweight;  // OHWI
};

// weight: pack of Conv2dPass::backward_data (ignored where dy is null). The ReLU mask is act > 0.
template <class B, class T>
void norm_conv_vjp(Stream stream, const NormConvShape& shape, const NormConvInput<T>& input,
                   const NormConvSaved<T>& saved, ConvPack weight,
                   const NormConvCotangents<T>& cotangents, const NormConvGradients<T>& gradients,
                   Workspace workspace);

// Tangents of the inputs; null is zero. weight: pack of Conv2dPass::forward of the tangent.
template <class T>
struct NormConvTangents {
  const T* y;
  const T* shortcut;
  const Acc<T>* mean;
  const Acc<T>* var;
  const Acc<T>* gamma;
  const Acc<T>* beta;
  ConvPack weight;
};

// Tangents of the outputs. act null: not wanted; out_mean, out_var null: no statistics.
// weight: pack of Conv2dPass::forward.
template <class B, class T>
void norm_conv_jvp(Stream stream, const NormConvShape& shape, const NormConvInput<T>& input,
                   const NormConvSaved<T>& saved, ConvPack weight,
                   const NormConvTangents<T>& tangents, const NormConvOutput<T>& output,
                   Workspace workspace);

}  // namespace ek::kernels
