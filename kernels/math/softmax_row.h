#pragma once
#include <cmath>
#include <cstdint>

#include "kernels/math/long_sum.h"
#include "kernels/math/philox.h"  // EK_HOST_DEVICE
#include "kernels/softmax.h"

namespace ek::math {

// One row of the fused classification loss (kernels/softmax.h), as functions of the class k:
// the adjusted logit u, the target q, and membership of the partition. A backend loops over k as
// it likes: one CPU thread, one GPU warp.
template <class T>
struct SoftmaxRow {
  const T* logits;
  const T* offset = nullptr;
  const T* targets = nullptr;
  const std::uint8_t* mask = nullptr;
  T scale = 1;
  T margin = 0;             // of the label
  T others_target = 0;      // q of every class, by label smoothing
  T label_target = 0;       // q of the label in excess of that
  std::int64_t label = -1;  // -1: there is none

  EK_HOST_DEVICE T u(std::int64_t k) const {
    const T z = k == label ? logits[k] - margin : logits[k];
    return scale * z + (offset ? offset[k] : T(0));
  }
  EK_HOST_DEVICE T q(std::int64_t k) const {
    if (targets) return targets[k];
    return k == label ? others_target + label_target : others_target;
  }
  EK_HOST_DEVICE bool in_partition(std::int64_t k) const { return !mask || mask[k]; }
};

// What all rows share and a division makes, which a GPU leaves to the host.
template <class T>
struct SoftmaxShares {
  T others_target;  // of SoftmaxRow
  double weight;    // 1 / divisor
};
template <class T>
EK_HOST_DEVICE SoftmaxShares<T> softmax_shares(const kernels::SoftmaxLoss<T>& loss) {
  return {T(loss.label_smoothing / double(loss.classes)), 1 / loss.divisor};
}

template <class T>
EK_HOST_DEVICE SoftmaxRow<T> softmax_row(const kernels::SoftmaxLoss<T>& loss,
                                         const SoftmaxShares<T>& shares, const T* logits,
                                         std::int64_t i) {
  SoftmaxRow<T> row{logits + i * loss.classes};
  row.offset = loss.offset;
  row.targets = loss.targets ? loss.targets + i * loss.classes : nullptr;
  row.mask = loss.mask ? loss.mask + i * loss.classes : nullptr;
  row.scale = T(loss.scale);
  row.label = loss.labels ? loss.labels[i] : -1;
  row.margin = loss.margin && row.label >= 0 ? loss.margin[row.label] : T(0);
  row.others_target = shares.others_target;
  row.label_target = T(1 - loss.label_smoothing);
  return row;
}
template <class T>
EK_HOST_DEVICE SoftmaxRow<T> softmax_row(const kernels::SoftmaxLoss<T>& loss, const T* logits,
                                         std::int64_t i) {
  return softmax_row(loss, softmax_shares(loss), logits, i);
}

// log-sum-exp as max + log_sum, kept apart so that neither a difference to the maximum nor a
// probability passes through their large sum.
template <class T>
struct LogSumExp {
  T max, log_sum;
  EK_HOST_DEVICE T value() const { return max + log_sum; }
};

// Over the partition. The maximum itself contributes exactly 1, so log1p of the others keeps the
// relative precision of a small loss. An empty partition and one of -inf only give NaN.
template <class T>
EK_HOST_DEVICE LogSumExp<T> log_sum_exp(const SoftmaxRow<T>& row, std::int64_t classes) {
  std::int64_t top = -1;
  T max = T(NAN);
  for (std::int64_t k = 0; k < classes; ++k) {
    if (!row.in_partition(k)) continue;
    const T u = row.u(k);
    if (top < 0 || u > max) {
      top = k;
      max = u;
    }
  }
  // inf - inf is NaN, 0 otherwise: what an infinite or absent maximum must do to the result.
  TermSum<T> others(max - max, classes);
  for (std::int64_t k = 0; k < classes; ++k) {
    if (k != top && row.in_partition(k)) others.add(std::exp(row.u(k) - max));
  }
  return {max, std::log1p(others.value())};
}

// l = lse - sum_k q_k u_k, written as log_sum - sum_k q_k (u_k - max), the same since sum_k q_k
// = 1. A class with q = 0 does not count, even where u is infinite.
template <class T>
EK_HOST_DEVICE T softmax_row_loss(const SoftmaxRow<T>& row, std::int64_t classes,
                                  const LogSumExp<T>& lse) {
  if (!row.targets && row.others_target == 0) return lse.log_sum - (row.u(row.label) - lse.max);
  TermSum<T> sum(0, classes);
  for (std::int64_t k = 0; k < classes; ++k) {
    const T q = row.q(k);
    if (q != 0) sum.add(q * (row.u(k) - lse.max));
  }
  return lse.log_sum - sum.value();
}

template <class T>
EK_HOST_DEVICE T softmax_probability(const SoftmaxRow<T>& row, std::int64_t k,
                                     const LogSumExp<T>& lse) {
  return row.in_partition(k) ? std::exp((row.u(k) - lse.max) - lse.log_sum) : T(0);
}

// dl/dz_k
template <class T>
EK_HOST_DEVICE T softmax_row_gradient(const SoftmaxRow<T>& row, std::int64_t k,
                                      const LogSumExp<T>& lse) {
  return row.scale * (softmax_probability(row, k, lse) - row.q(k));
}

// What the gradient of row i is multiplied by in dlogits_weighted.
template <class T>
EK_HOST_DEVICE T softmax_row_weight(const kernels::SoftmaxLoss<T>& loss,
                                    const SoftmaxShares<T>& shares, std::int64_t i) {
  double weight = shares.weight;
  if (loss.sample_weight) weight *= double(loss.sample_weight[i]);
  if (loss.class_weight) weight *= double(loss.class_weight[loss.labels[i]]);
  return T(weight);
}
template <class T>
EK_HOST_DEVICE T softmax_row_weight(const kernels::SoftmaxLoss<T>& loss, std::int64_t i) {
  return softmax_row_weight(loss, softmax_shares(loss), i);
}

}  // namespace ek::math
