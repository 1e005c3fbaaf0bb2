#include "kernels/softmax.h"

#include <type_traits>

#include "kernels/arguments.h"
#include "kernels/cuda/team.cuh"
#include "kernels/math/argmax.h"
#include "kernels/math/softmax_row.h"

// One thread, one row, is the teaching rung: it runs the row as a CPU does, and serves rows of a
// few classes. Longer rows belong to a warp, very long ones to a block (team.cuh has the limits).
// These read a row twice: first the log-sum-exp, online, then what is written. A row's bits depend
// on the number of classes alone.
namespace ek::kernels {
namespace EK_TARGET {
namespace {

template <class T>
__device__ void check_label(const SoftmaxLoss<T>& loss, std::int64_t i) {
  device_require(!loss.labels || (loss.labels[i] >= 0 && loss.labels[i] < loss.classes),
                 "softmax_loss: a label outside [0, classes)");
}

template <class T>
__global__ void __launch_bounds__(kItemThreads)
    loss_plain(SoftmaxLoss<T> loss, const T* logits, SoftmaxLossOutputs<T> out) {
  const std::int64_t classes = loss.classes;
  for (std::int64_t i = first_item(); i < loss.rows; i += all_items()) {
    check_label(loss, i);
    const auto row = math::softmax_row(loss, logits, i);
    const auto lse = math::log_sum_exp(row, classes);
    if (out.losses) out.losses[i] = math::softmax_row_loss(row, classes, lse);
    if (out.correct) out.correct[i] = math::first_maximum(row.logits, classes) == row.label;
    if (!out.dlogits && !out.dlogits_weighted) continue;
    const T weight = math::softmax_row_weight(loss, i);
    for (std::int64_t k = 0; k < classes; ++k) {
      const T gradient = math::softmax_row_gradient(row, k, lse);
      if (out.dlogits) out.dlogits[i * classes + k] = gradient;
      if (out.dlogits_weighted) out.dlogits_weighted[i * classes + k] = weight * gradient;
    }
  }
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

template <class TeamType, class T>
__global__ void __launch_bounds__(TeamType::block_threads)
    loss_by_team(SoftmaxLoss<T> loss, const T* logits, SoftmaxLossOutputs<T> out) {
  constexpr int step = TeamType::block_threads / TeamType::teams_per_block;
  const int classes = int(loss.classes), rank = TeamType::rank();
  const bool gradients = out.dlogits || out.dlogits_weighted;
  for (std::int64_t i = TeamType::first_row(); i < loss.rows; i += TeamType::all_teams()) {
    check_label(loss, i);
    const auto row = math::softmax_row(loss, logits, i);
    const T weight = math::softmax_row_weight(loss, i);
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
    if (hard && out.losses && rank == 0) {
      out.losses[i] = math::softmax_row_loss(row, classes, lse);
    }
    const bool soft_loss = !hard && out.losses;
    if (!gradients && !soft_loss) continue;
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
}

template <class T>
__global__ void __launch_bounds__(kItemThreads)
    softmax_plain(std::int64_t rows, std::int64_t classes, const T* logits, T* probabilities,
                  T* lse) {
  for (std::int64_t i = first_item(); i < rows; i += all_items()) {
    const math::SoftmaxRow<T> row{logits + i * classes};
    const auto sum = math::log_sum_exp(row, classes);
    if (lse) lse[i] = sum.value();
    for (std::int64_t k = 0; probabilities && k < classes; ++k) {
      probabilities[i * classes + k] = math::softmax_probability(row, k, sum);
    }
  }
}

template <class TeamType, class T>
__global__ void __launch_bounds__(TeamType::block_threads)
    softmax_by_team(std::int64_t rows, int classes, const T* logits, T* probabilities, T* lse) {
  constexpr int step = TeamType::block_threads / TeamType::teams_per_block;
  const int rank = TeamType::rank();
  for (std::int64_t i = TeamType::first_row(); i < rows; i += TeamType::all_teams()) {
    const math::SoftmaxRow<T> row{logits + i * classes};
    auto partial = PartialSum<T>::none();
    for (int k = rank; k < classes; k += step) {
      partial = Joined{}(partial, PartialSum<T>{row.u(k), T(0), k});
    }
    const math::LogSumExp<T> sum = TeamType::template reduce<Joined>(partial).log();
    if (lse && rank == 0) lse[i] = sum.value();
    for (int k = rank; probabilities && k < classes; k += step) {
      probabilities[i * classes + k] = math::softmax_probability(row, k, sum);
    }
  }
}

// What the host can see; labels are looked at on the device, in its checked builds.
template <class T>
void check(const SoftmaxLoss<T>& loss, const SoftmaxLossOutputs<T>& out) {
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

}  // namespace
}  // namespace EK_TARGET

template <class B, class T>
void softmax_loss(Stream stream, const SoftmaxLoss<T>& loss, const T* logits,
                  const SoftmaxLossOutputs<T>& out) {
  using namespace EK_TARGET;
  check(loss, out);
  if (loss.rows == 0) return;
  if (loss.classes < kFewColumns) {
    launch<&loss_plain<T>>(for_items(loss.rows, stream), loss, logits, out);
    return;
  }
  // In double, which serves checks, a block's kernel would spill registers.
  if constexpr (!std::is_same_v<T, double>) {
    if (loss.classes > kWarpColumns) {
      launch<&loss_by_team<BlockTeam, T>>(for_rows<BlockTeam>(loss.rows, stream), loss, logits,
                                          out);
      return;
    }
  }
  launch<&loss_by_team<WarpTeam, T>>(for_rows<WarpTeam>(loss.rows, stream), loss, logits, out);
}

template <class B, class T>
void softmax(Stream stream, std::int64_t rows, std::int64_t classes, const T* logits,
             T* probabilities, T* lse) {
  using namespace EK_TARGET;
  require_argument(classes < kNone, "softmax: expected classes below 2^31 - 1", classes);
  if (rows == 0) return;
  if (classes < kFewColumns) {
    launch<&softmax_plain<T>>(for_items(rows, stream), rows, classes, logits, probabilities, lse);
  } else if (classes <= kWarpColumns) {
    launch<&softmax_by_team<WarpTeam, T>>(for_rows<WarpTeam>(rows, stream), rows, int(classes),
                                          logits, probabilities, lse);
  } else {
    launch<&softmax_by_team<BlockTeam, T>>(for_rows<BlockTeam>(rows, stream), rows, int(classes),
                                           logits, probabilities, lse);
  }
}

using EK_TARGET::Backend;
template decltype(softmax_loss<Backend, float>) softmax_loss<Backend, float>;
template decltype(softmax_loss<Backend, double>) softmax_loss<Backend, double>;
template decltype(softmax<Backend, float>) softmax<Backend, float>;
template decltype(softmax<Backend, double>) softmax<Backend, double>;

}  // namespace ek::kernels
