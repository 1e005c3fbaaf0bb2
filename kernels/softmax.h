#pragma once
#include <cstdint>

#include "kernels/base/backend.h"

namespace ek::kernels {

// The fused classification loss that most losses of the field are instances of
// (docs/losses.md):
//
//   u_ik = scale * (z_ik - margin[y_i] * [k = y_i]) + offset[k]
//   l_i  = lse over { k : mask_ik } of u_ik  -  sum_k q_ik u_ik        (sum_k q_ik = 1)
//   dl_i/dz_ik = scale * (mask_ik * exp(u_ik - lse_i) - q_ik)
//
// z is logits [rows, classes]. Losses are per sample and unweighted; the gradient is that of l_i
// by its own row. Weights are applied on request in dlogits_weighted alone:
//   dlogits_weighted_ik = sample_weight[i] * class_weight[y_i] * dl_i/dz_ik / divisor
// Everything is computed relative to the row maximum and never overflows.
template <class T>
struct SoftmaxLoss {
  std::int64_t rows, classes;
  double scale = 1;
  double label_smoothing = 0;            // q = (1 - s) one-hot + s / classes
  const std::int64_t* labels = nullptr;  // [rows], each in [0, classes); null with targets
  const T* targets = nullptr;            // soft q [rows, classes]; excludes labels' smoothing
  const T* offset = nullptr;             // [classes], e.g. log n_k
  const T* margin = nullptr;             // [classes]; needs labels
  const std::uint8_t* mask = nullptr;    // [rows, classes]; 0 leaves k out of the partition
  const T* class_weight = nullptr;       // [classes]; needs labels
  const T* sample_weight = nullptr;      // [rows]
  double divisor = 1;
};

// Outputs; a null one is not written.
template <class T>
struct SoftmaxLossOutputs {
  T* losses = nullptr;              // [rows]
  T* dlogits = nullptr;             // [rows, classes], unweighted
  T* dlogits_weighted = nullptr;    // [rows, classes]
  std::uint8_t* correct = nullptr;  // [rows], argmax of z (first maximum) equals the label
};

// T is the accumulation type: logits and losses are never bf16.
template <class B, class T>
void softmax_loss(Stream stream, const SoftmaxLoss<T>& loss, const T* logits,
                  const SoftmaxLossOutputs<T>& out);

// Derivatives of the losses from dlogits as softmax_loss leaves it, T [rows, classes].
//   vjp: out_ik = cotangent_i dlogits_ik        jvp: out_i = sum_k dlogits_ik tangent_ik
// Products of floats are rounded to float; sums are taken in double, in a fixed order, and rounded
// once.
template <class B, class T>
void softmax_loss_vjp(Stream stream, std::int64_t rows, std::int64_t classes, const T* dlogits,
                      const T* cotangent, T* out);
template <class B, class T>
void softmax_loss_jvp(Stream stream, std::int64_t rows, std::int64_t classes, const T* dlogits,
                      const T* tangent, T* out);

// probabilities = softmax of each row; lse = log-sum-exp of each row. Either may be null.
// A row of -inf only gives NaN.
template <class B, class T>
void softmax(Stream stream, std::int64_t rows, std::int64_t classes, const T* logits,
             T* probabilities, T* lse);

}  // namespace ek::kernels
