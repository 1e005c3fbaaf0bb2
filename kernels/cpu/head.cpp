// The classification head as the other families' kernels make it, and predictions row by row.
#include "kernels/head.h"

#include "kernels/base/error.h"
#include "kernels/cpu/blocks.h"
#include "kernels/head_parts.h"
#include "kernels/math/argmax.h"

namespace ek::kernels {

template <class B, class T>
std::size_t head_workspace_bytes(const HeadShape& shape) {
  return head_parts::workspace_bytes<Acc<T>>(shape);
}

template <class B, class T>
void head_forward(Stream stream, const HeadShape& s, const T* x, const HeadWeights<Acc<T>>& weights,
                  const SoftmaxLoss<Acc<T>>& loss, Acc<T>* features, Acc<T>* logits,
                  const SoftmaxLossOutputs<Acc<T>>& out, Workspace workspace) {
  const bool with_loss = head_parts::check_forward<Acc<T>>(s, loss, out, workspace);
  head_parts::forward<B, T>(stream, s, x, weights, loss, features, logits, out, with_loss,
                            workspace);
}

template <class B, class T>
void head_backward(Stream stream, const HeadShape& s, const Acc<T>* weight, const Acc<T>* dlogits,
                   Acc<T>* dfeatures, T* dx) {
  head_parts::check_shape("head_backward: expected batch >= 0 and other sizes >= 1", s);
  head_parts::backward<B, T>(stream, s, weight, dlogits, dfeatures, dx);
}

template <class B, class T>
void head_weight_gradients(Stream stream, const HeadShape& s, const T* features, const T* dlogits,
                           T* dweight, T* dbias) {
  head_parts::check_shape("head_weight_gradients: expected batch >= 0 and other sizes >= 1", s);
  head_parts::weight_gradients<B, T>(stream, s, features, dlogits, dweight, dbias);
}

template <class B, class T>
void head_jvp(Stream stream, const HeadShape& s, const Acc<T>* weight, const Acc<T>* features,
              const Acc<T>* dlogits, const HeadTangents<T>& tangents,
              const HeadTangentOutputs<T>& out, Workspace workspace) {
  head_parts::check_jvp<Acc<T>>(s, workspace);
  head_parts::jvp<B, T>(stream, s, weight, features, dlogits, tangents, out, workspace);
}

template <class B, class T>
void head_predict(Stream, std::int64_t rows, std::int64_t classes, const T* logits,
                  const std::int64_t* labels, const HeadPredictions& out) {
  head_parts::check_predict(rows, classes, labels, out);
  for (std::int64_t i = 0; labels && i < rows; ++i) {
    require(0 <= labels[i] && labels[i] < classes,
            "head_predict: expected labels in [0, {}), but row {} has {}", classes, i, labels[i]);
  }
  cpu::for_item_blocks(rows, classes, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t best = math::first_maximum(logits + i * classes, classes);
      if (out.prediction) out.prediction[i] = best;
      if (out.correct) out.correct[i] = best == labels[i];
      if (!out.class_correct || best != labels[i]) continue;
#pragma omp atomic
      ++out.class_correct[best];
    }
  });
  for (std::int64_t i = 0; out.class_total && i < rows; ++i) ++out.class_total[labels[i]];
}

template decltype(head_workspace_bytes<Cpu, float>) head_workspace_bytes<Cpu, float>;
template decltype(head_workspace_bytes<Cpu, double>) head_workspace_bytes<Cpu, double>;
template decltype(head_workspace_bytes<Cpu, bf16>) head_workspace_bytes<Cpu, bf16>;
template decltype(head_forward<Cpu, float>) head_forward<Cpu, float>;
template decltype(head_forward<Cpu, double>) head_forward<Cpu, double>;
template decltype(head_forward<Cpu, bf16>) head_forward<Cpu, bf16>;
template decltype(head_backward<Cpu, float>) head_backward<Cpu, float>;
template decltype(head_backward<Cpu, double>) head_backward<Cpu, double>;
template decltype(head_backward<Cpu, bf16>) head_backward<Cpu, bf16>;
template decltype(head_weight_gradients<Cpu, float>) head_weight_gradients<Cpu, float>;
template decltype(head_weight_gradients<Cpu, double>) head_weight_gradients<Cpu, double>;
template decltype(head_jvp<Cpu, float>) head_jvp<Cpu, float>;
template decltype(head_jvp<Cpu, double>) head_jvp<Cpu, double>;
template decltype(head_jvp<Cpu, bf16>) head_jvp<Cpu, bf16>;
template decltype(head_predict<Cpu, float>) head_predict<Cpu, float>;
template decltype(head_predict<Cpu, double>) head_predict<Cpu, double>;

}  // namespace ek::kernels
