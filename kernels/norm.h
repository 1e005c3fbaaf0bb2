#pragma once
#include <cstdint>

#include "kernels/base/backend.h"

namespace ek::kernels {

// Batch normalisation in two halves: the statistics of a tensor y [rows, channels] (NHWC images
// flattened to rows), and the pass that normalises it, adds a shortcut and applies ReLU:
//
//   mean = mean_rows y      var = mean_rows (y - mean)^2      (biased)
//   xhat = (y - mean) * rsqrt(var + eps)
//   act  = [relu](gamma * xhat + beta [+ shortcut])
//
// Statistics, gamma and beta are [channels] in the accumulation type. The two halves are separate
// linear maps under differentiation; chained, their transposes give the classical batch-norm
// backward pass, and their tangents the same projector x - mean(x) - xhat * mean(x * xhat)
// (it is symmetric). Sums run over fixed blocks of rows, merged in order with Chan's formula for
// means and variances, so bits do not depend on threads and var does not cancel when |mean| >> std.

// mean, var of y. rows >= 1.
template <class B, class T>
void channel_stats_forward(Stream stream, std::int64_t rows, std::int64_t channels, const T* y,
                           Acc<T>* mean, Acc<T>* var, Workspace workspace);

// dy = dy_in + (dmean + 2 dvar (y - mean)) / rows. dy_in may be null (zero) or equal to dy.
template <class B, class T>
void channel_stats_vjp(Stream stream, std::int64_t rows, std::int64_t channels, const T* y,
                       const Acc<T>* mean, const Acc<T>* dmean, const Acc<T>* dvar, const T* dy_in,
                       T* dy);

// mean_tangent = mean_rows y_tangent;  var_tangent = 2 mean_rows (y - mean) y_tangent
template <class B, class T>
void channel_stats_jvp(Stream stream, std::int64_t rows, std::int64_t channels, const T* y,
                       const Acc<T>* mean, const T* y_tangent, Acc<T>* mean_tangent,
                       Acc<T>* var_tangent, Workspace workspace);

// What norm_act normalises with. eps is added to var.
template <class T>
struct NormParams {
  std::int64_t rows, channels;
  double eps;
  bool relu;
  const Acc<T>* mean;
  const Acc<T>* var;
  const Acc<T>* gamma;
  const Acc<T>* beta;
};

// act as above; shortcut [rows, channels] may be null.
template <class B, class T>
void norm_act_forward(Stream stream, const NormParams<T>& params, const T* y, const T* shortcut,
                      T* act);

// Cotangents of norm_act for the cotangent dact. The ReLU mask is act > 0, read from the stored
// output. With g = dact masked:
//   dy = gamma r g        dshortcut = g                       (null: not wanted)
//   dgamma = sum g xhat   dbeta = sum g
//   dmean = -gamma r dbeta                dvar = -1/2 gamma r^2 dgamma       (r = rsqrt(var+eps))
template <class T>
struct NormActCotangents {
  T* dy;
  T* dshortcut;
  Acc<T>* dmean;
  Acc<T>* dvar;
  Acc<T>* dgamma;
  Acc<T>* dbeta;
};
template <class B, class T>
void norm_act_vjp(Stream stream, const NormParams<T>& params, const T* y, const T* act,
                  const T* dact, const NormActCotangents<T>& out, Workspace workspace);

// act_tangent = mask (gamma r (y' - mean' - 1/2 xhat r var') + gamma' xhat + beta' + shortcut').
// Null tangents are zero.
template <class T>
struct NormActTangents {
  const T* y;
  const T* shortcut;
  const Acc<T>* mean;
  const Acc<T>* var;
  const Acc<T>* gamma;
  const Acc<T>* beta;
};
template <class B, class T>
void norm_act_jvp(Stream stream, const NormParams<T>& params, const T* y, const T* act,
                  const NormActTangents<T>& tangents, T* act_tangent);

// Workspace of channel_stats_forward, channel_stats_jvp and norm_act_vjp.
template <class B, class T>
std::size_t norm_workspace_bytes(std::int64_t rows, std::int64_t channels);

}  // namespace ek::kernels
