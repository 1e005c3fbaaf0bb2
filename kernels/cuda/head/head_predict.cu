// Predictions of an evaluation (kernels/head.h), in one launch: one thread, one row, is the
// teaching rung; longer rows belong to a warp or a block (team.cuh has the limits). Counts are
// integers, so that the order of the atomic additions leaves no trace.
#include "kernels/cuda/base/choice.cuh"
#include "kernels/head.h"
#include "kernels/head_parts.h"
#include "kernels/math/argmax.h"

namespace ek::kernels {
namespace EK_TARGET {
namespace {

__device__ void record(std::int64_t i, std::int64_t best, std::int64_t classes,
                       const std::int64_t* labels, const HeadPredictions& out) {
  if (out.prediction) out.prediction[i] = best;
  if (!labels) return;
  const std::int64_t label = labels[i];
  device_require(label >= 0 && label < classes, "head_predict: a label outside [0, classes)");
  if (out.correct) out.correct[i] = best == label;
  const auto count = [label](std::int64_t* of_class) {
    atomicAdd(reinterpret_cast<unsigned long long*>(of_class) + label, 1ull);
  };
  if (out.class_correct && best == label) count(out.class_correct);
  if (out.class_total) count(out.class_total);
}

template <class T>
__global__ void __launch_bounds__(kItemThreads)
    predict_plain(std::int64_t rows, std::int64_t classes, const T* logits,
                  const std::int64_t* labels, HeadPredictions out) {
  for (std::int64_t i = first_item(); i < rows; i += all_items()) {
    record(i, math::first_maximum(logits + i * classes, classes), classes, labels, out);
  }
}

template <class TeamType, class T>
__global__ void __launch_bounds__(TeamType::block_threads)
    predict_by_team(std::int64_t rows, int classes, const T* logits, const std::int64_t* labels,
                    HeadPredictions out) {
  for (std::int64_t i = TeamType::first_row(); i < rows; i += TeamType::all_teams()) {
    auto best = Best<T>::none();
    for (int k = TeamType::rank(); k < classes; k += TeamType::threads) {
      best = Better{}(best, Best<T>::of(logits[i * classes + k], k));
    }
    best = TeamType::template reduce<Better>(best);
    if (TeamType::rank() == 0) record(i, best.index, classes, labels, out);
  }
}

}  // namespace
}  // namespace EK_TARGET

template <class B, class T>
void head_predict(Stream stream, std::int64_t rows, std::int64_t classes, const T* logits,
                  const std::int64_t* labels, const HeadPredictions& out) {
  using namespace EK_TARGET;
  head_parts::check_predict(rows, classes, labels, out);
  require_argument(classes < kNone - BlockTeam::block_threads,
                   "head_predict: expected classes below 2^31 - 257", classes);
  if (rows == 0) return;
  const ByTeam version = by_team("head_predict", classes);
  if (version == ByTeam::plain) {
    launch<&predict_plain<T>>(for_items(rows, stream), rows, classes, logits, labels, out);
  } else if (version == ByTeam::warp) {
    launch<&predict_by_team<WarpTeam, T>>(for_rows<WarpTeam>(rows, stream), rows, int(classes),
                                          logits, labels, out);
  } else {
    launch<&predict_by_team<BlockTeam, T>>(for_rows<BlockTeam>(rows, stream), rows, int(classes),
                                           logits, labels, out);
  }
}

using EK_TARGET::Backend;
template decltype(head_predict<Backend, float>) head_predict<Backend, float>;
template decltype(head_predict<Backend, double>) head_predict<Backend, double>;

}  // namespace ek::kernels
