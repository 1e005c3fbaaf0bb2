#include "kernels/softmax.h"

#include "kernels/cuda/base/choice.cuh"
#include "kernels/cuda/softmax_row.cuh"
#include "kernels/math/argmax.h"

// One thread, one row, is the teaching rung: it runs the row as a CPU does, and serves rows of a
// few classes. Longer rows belong to a warp, very long ones to a block (team.cuh has the limits,
// and softmax_row.cuh what a team does). A row's bits depend on the number of classes alone.
namespace ek::kernels {
namespace EK_TARGET {
namespace {

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

template <class TeamType, class T>
__global__ void __launch_bounds__(TeamType::block_threads)
    loss_by_team(SoftmaxLoss<T> loss, math::SoftmaxShares<T> shares, const T* logits,
                 SoftmaxLossOutputs<T> out) {
  for (std::int64_t i = TeamType::first_row(); i < loss.rows; i += TeamType::all_teams()) {
    check_label(loss, i);
    team_softmax_loss<TeamType>(loss, shares, math::softmax_row(loss, shares, logits, i), i, out);
  }
}

// Both derivatives give a row to a warp, whatever its length.
template <class T>
__global__ void __launch_bounds__(WarpTeam::block_threads)
    loss_vjp_rows(std::int64_t rows, std::int64_t classes, const T* dlogits, const T* cotangent,
                  T* out) {
  for (std::int64_t i = WarpTeam::first_row(); i < rows; i += WarpTeam::all_teams()) {
    const T by = cotangent[i];
    for (std::int64_t k = WarpTeam::rank(); k < classes; k += WarpTeam::threads) {
      out[i * classes + k] = by * dlogits[i * classes + k];
    }
  }
}

template <class T>
__global__ void __launch_bounds__(WarpTeam::block_threads)
    loss_jvp_rows(std::int64_t rows, std::int64_t classes, const T* dlogits, const T* tangent,
                  T* out) {
  for (std::int64_t i = WarpTeam::first_row(); i < rows; i += WarpTeam::all_teams()) {
    double sum = 0;
    for (std::int64_t k = WarpTeam::rank(); k < classes; k += WarpTeam::threads) {
      const T product = dlogits[i * classes + k] * tangent[i * classes + k];
      sum += double(product);
    }
    sum = WarpTeam::reduce<Sum>(sum);
    if (WarpTeam::rank() == 0) out[i] = T(sum);
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

}  // namespace
}  // namespace EK_TARGET

template <class B, class T>
void softmax_loss(Stream stream, const SoftmaxLoss<T>& loss, const T* logits,
                  const SoftmaxLossOutputs<T>& out) {
  using namespace EK_TARGET;
  check_softmax_loss(loss, out);
  if (loss.rows == 0) return;
  const ByTeam version = by_team<T>("softmax_loss", loss.rows, loss.classes,
                                    [&] { softmax_loss<B, T>(stream, loss, logits, out); });
  if (version == ByTeam::plain) {
    launch<&loss_plain<T>>(for_items(loss.rows, stream), loss, logits, out);
    return;
  }
  const auto shares = math::softmax_shares(loss);
  if (version == ByTeam::block) {
    launch<&loss_by_team<BlockTeam, T>>(for_rows<BlockTeam>(loss.rows, stream), loss, shares,
                                        logits, out);
    return;
  }
  launch<&loss_by_team<WarpTeam, T>>(for_rows<WarpTeam>(loss.rows, stream), loss, shares, logits,
                                     out);
}

template <class B, class T>
void softmax_loss_vjp(Stream stream, std::int64_t rows, std::int64_t classes, const T* dlogits,
                      const T* cotangent, T* out) {
  using namespace EK_TARGET;
  if (rows == 0 || classes == 0) return;
  launch<&loss_vjp_rows<T>>(for_rows<WarpTeam>(rows, stream), rows, classes, dlogits, cotangent,
                            out);
}

template <class B, class T>
void softmax_loss_jvp(Stream stream, std::int64_t rows, std::int64_t classes, const T* dlogits,
                      const T* tangent, T* out) {
  using namespace EK_TARGET;
  if (rows == 0) return;
  launch<&loss_jvp_rows<T>>(for_rows<WarpTeam>(rows, stream), rows, classes, dlogits, tangent, out);
}

template <class B, class T>
void softmax(Stream stream, std::int64_t rows, std::int64_t classes, const T* logits,
             T* probabilities, T* lse) {
  using namespace EK_TARGET;
  require_argument(classes < kNone, "softmax: expected classes below 2^31 - 1", classes);
  if (rows == 0) return;
  const ByTeam version = by_team<T>("softmax", rows, classes, [&] {
    softmax<B, T>(stream, rows, classes, logits, probabilities, lse);
  });
  if (version == ByTeam::plain) {
    launch<&softmax_plain<T>>(for_items(rows, stream), rows, classes, logits, probabilities, lse);
  } else if (version == ByTeam::warp) {
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
template decltype(softmax_loss_vjp<Backend, float>) softmax_loss_vjp<Backend, float>;
template decltype(softmax_loss_vjp<Backend, double>) softmax_loss_vjp<Backend, double>;
template decltype(softmax_loss_jvp<Backend, float>) softmax_loss_jvp<Backend, float>;
template decltype(softmax_loss_jvp<Backend, double>) softmax_loss_jvp<Backend, double>;
template decltype(softmax<Backend, float>) softmax<Backend, float>;
template decltype(softmax<Backend, double>) softmax<Backend, double>;

}  // namespace ek::kernels
