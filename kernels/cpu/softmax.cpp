#include "kernels/softmax.h"

#include "kernels/base/error.h"
#include "kernels/cpu/blocks.h"
#include "kernels/math/argmax.h"
#include "kernels/math/softmax_row.h"

namespace ek::kernels {
namespace {

// Labels may come beside soft targets: then they serve margin, class_weight and correct alone.
template <class T>
void check(const SoftmaxLoss<T>& loss, const SoftmaxLossOutputs<T>& out) {
  require(loss.labels || loss.targets, "softmax_loss: expected labels or targets, got neither");
  require(!loss.targets || loss.label_smoothing == 0,
          "softmax_loss: label_smoothing is for labels, but came with targets ({})",
          loss.label_smoothing);
  const bool wants_labels = loss.margin || loss.class_weight || out.correct;
  require(loss.labels || !wants_labels,
          "softmax_loss: margin, class_weight and correct need labels, but labels is null");
  for (std::int64_t i = 0; loss.labels && i < loss.rows; ++i) {
    require(0 <= loss.labels[i] && loss.labels[i] < loss.classes,
            "softmax_loss: expected labels in [0, {}), but row {} has {}", loss.classes, i,
            loss.labels[i]);
  }
}

// Sixteen partial sums, so that it is done in vectors.
template <class T>
double dot(const T* a, const T* b, std::int64_t count) {
  constexpr int lanes = 16;
  double lane[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
#pragma omp simd
    for (int l = 0; l < lanes; ++l) lane[l] += double(T(a[i + l] * b[i + l]));
  }
  double sum = 0;
  for (; i < count; ++i) sum += double(T(a[i] * b[i]));
  for (int l = 0; l < lanes; ++l) sum += lane[l];
  return sum;
}

}  // namespace

template <class B, class T>
void softmax_loss(Stream, const SoftmaxLoss<T>& loss, const T* logits,
                  const SoftmaxLossOutputs<T>& out) {
  check(loss, out);
  const std::int64_t classes = loss.classes;
  cpu::for_item_blocks(loss.rows, 16 * classes, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto row = math::softmax_row(loss, logits, i);
      const auto lse = math::log_sum_exp(row, classes);
      if (out.losses) out.losses[i] = math::softmax_row_loss(row, classes, lse);
      if (out.correct) {
        out.correct[i] = math::first_maximum(row.logits, classes) == loss.labels[i];
      }
      if (!out.dlogits && !out.dlogits_weighted) continue;
      const T weight = math::softmax_row_weight(loss, i);
      for (std::int64_t k = 0; k < classes; ++k) {
        const T gradient = math::softmax_row_gradient(row, k, lse);
        if (out.dlogits) out.dlogits[i * classes + k] = gradient;
        if (out.dlogits_weighted) out.dlogits_weighted[i * classes + k] = weight * gradient;
      }
    }
  });
}

template <class B, class T>
void softmax_loss_vjp(Stream, std::int64_t rows, std::int64_t classes, const T* dlogits,
                      const T* cotangent, T* out) {
  cpu::for_item_blocks(rows, classes, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const T by = cotangent[i];
#pragma omp simd
      for (std::int64_t k = i * classes; k < (i + 1) * classes; ++k) out[k] = by * dlogits[k];
    }
  });
}

template <class B, class T>
void softmax_loss_jvp(Stream, std::int64_t rows, std::int64_t classes, const T* dlogits,
                      const T* tangent, T* out) {
  cpu::for_item_blocks(rows, classes, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      out[i] = T(dot(dlogits + i * classes, tangent + i * classes, classes));
    }
  });
}

template <class B, class T>
void softmax(Stream, std::int64_t rows, std::int64_t classes, const T* logits, T* probabilities,
             T* lse) {
  cpu::for_item_blocks(rows, 16 * classes, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const math::SoftmaxRow<T> row{logits + i * classes};
      const auto sum = math::log_sum_exp(row, classes);
      if (lse) lse[i] = sum.value();
      for (std::int64_t k = 0; probabilities && k < classes; ++k) {
        probabilities[i * classes + k] = math::softmax_probability(row, k, sum);
      }
    }
  });
}

template decltype(softmax_loss<Cpu, float>) softmax_loss<Cpu, float>;
template decltype(softmax_loss<Cpu, double>) softmax_loss<Cpu, double>;
template decltype(softmax_loss_vjp<Cpu, float>) softmax_loss_vjp<Cpu, float>;
template decltype(softmax_loss_vjp<Cpu, double>) softmax_loss_vjp<Cpu, double>;
template decltype(softmax_loss_jvp<Cpu, float>) softmax_loss_jvp<Cpu, float>;
template decltype(softmax_loss_jvp<Cpu, double>) softmax_loss_jvp<Cpu, double>;
template decltype(softmax<Cpu, float>) softmax<Cpu, float>;
template decltype(softmax<Cpu, double>) softmax<Cpu, double>;

}  // namespace ek::kernels
