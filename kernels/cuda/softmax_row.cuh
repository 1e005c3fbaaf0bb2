#pragma once
// A row of the fused classification loss (kernels/softmax.h) as a team works on it: the part that
// softmax.cu and head.cu share.
#include <type_traits>

#include "kernels/base/arguments.h"
#include "kernels/cuda/base/team.cuh"
#include "kernels/math/softmax_row.h"

namespace ek::kernels::EK_TARGET {

// What the host can see; labels are looked at on the device, in its checked builds.
template <class T>
void check_softmax_loss(const SoftmaxLoss<T>& loss, const SoftmaxLossOutputs<T>& out) {
  require_argument(loss.labels || loss.targets, "softmax_loss: expected labels or targets",
                   std::int64_t(0));
  require_argument(!loss.targets || loss.label_smoothing == 0,
                   "softmax_loss: expected no label_smoothing beside targets",
                   loss.label_smoothing);
  require_argument(loss.labels || !(loss.margin || loss.class_weight || out.correct),
                   "softmax_loss: expected labels for margin, class_weight and correct",
                   std::int64_t(0));
  require_argument(loss.classes < kNone, "softmax_loss: expected classes below 2^31 - 1",
                   loss.classes);
}

template <class T>
__device__ void check_label(const SoftmaxLoss<T>& loss, std::int64_t i) {
  device_require(!loss.labels || (loss.labels[i] >= 0 && loss.labels[i] < loss.classes),
                 "softmax_loss: a label outside [0, classes)");
}

// The log-sum-exp of a part of a row: its maximum, the first class that has it, and the sum of
// exp(u - max) over the others, apart because log1p of it keeps the precision of a small loss.
template <class T>
struct PartialSum {
  T max, others;
  // As wide as T: copies of a struct move its padding too, which nothing writes.
  std::conditional_t<sizeof(T) == 8, long long, int> top;
  __device__ PartialSum across(int distance) const {
    return {from_across(max, distance), from_across(others, distance), from_across(top, distance)};
  }
  __device__ static PartialSum none() { return {T(NAN), T(0), kNone}; }
  __device__ math::LogSumExp<T> log() const {
    return {max, std::log1p(others + (max - max))};  // NaN where the maximum is infinite
  }
};
struct Joined {
  template <class T>
  __device__ PartialSum<T> operator()(PartialSum<T> a, PartialSum<T> b) const {
    if (a.top == kNone) return b;
    if (b.top == kNone) return a;
    const bool second = b.max > a.max || (b.max == a.max && b.top < a.top);
    PartialSum<T> high = second ? b : a;
    const PartialSum<T> low = second ? a : b;
    // Equal ones may be infinite.
    const T factor = low.max == high.max ? T(1) : std::exp(low.max - high.max);
    high.others += (T(1) + low.others) * factor;
    return high;
  }
};

// Writes what `out` asks for of row i. The row is read twice: first the log-sum-exp, online, then
// what is written. row.logits may lie in shared memory, and is what all of the team's threads see.
template <class TeamType, class T>
__device__ void team_softmax_loss(const SoftmaxLoss<T>& loss, const math::SoftmaxShares<T>& shares,
                                  const math::SoftmaxRow<T>& row, std::int64_t i,
                                  const SoftmaxLossOutputs<T>& out) {
  constexpr int step = TeamType::block_threads / TeamType::teams_per_block;
  const int classes = int(loss.classes), rank = TeamType::rank();
  const bool gradients = out.dlogits || out.dlogits_weighted;
  auto partial = PartialSum<T>::none();
  auto best = Best<T>::none();
  for (int k = rank; k < classes; k += step) {
    if (row.in_partition(k)) partial = Joined{}(partial, PartialSum<T>{row.u(k), T(0), k});
    if (out.correct) best = Better{}(best, Best<T>::of(row.logits[k], k));
  }
  const math::LogSumExp<T> lse = TeamType::template reduce<Joined>(partial).log();
  if (out.correct) {
    best = TeamType::template reduce<Better>(best);
    if (rank == 0) out.correct[i] = best.index == row.label;
  }
  const bool hard = !row.targets && row.others_target == 0;
  if (hard && out.losses && rank == 0) out.losses[i] = math::softmax_row_loss(row, classes, lse);
  const bool soft_loss = !hard && out.losses;
  if (!gradients && !soft_loss) return;
  const T weight = out.dlogits_weighted ? math::softmax_row_weight(loss, shares, i) : T(0);
  T sum = 0;  // of q_k (u_k - max), as in math::softmax_row_loss
  for (int k = rank; k < classes; k += step) {
    const T q = row.q(k);
    if (soft_loss && q != 0) sum += q * (row.u(k) - lse.max);
    if (!gradients) continue;
    const T gradient = math::softmax_row_gradient(row, k, lse);
    if (out.dlogits) out.dlogits[i * classes + k] = gradient;
    if (out.dlogits_weighted) out.dlogits_weighted[i * classes + k] = weight * gradient;
  }
  if (soft_loss) {
    sum = TeamType::template reduce<Sum>(sum);
    if (rank == 0) out.losses[i] = lse.log_sum - sum;
  }
}

}  // namespace ek::kernels::EK_TARGET
