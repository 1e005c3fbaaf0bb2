#pragma once
#include <cstddef>

#include "kernels/base/arguments.h"
#include "kernels/elementwise.h"
#include "kernels/gemm.h"
#include "kernels/head.h"
#include "kernels/pool.h"
#include "kernels/reduce.h"

// The head of kernels/head.h as a composition of other kernels of the same backend, one launch
// after another: what the CPU runs, and the first version on a GPU.
namespace ek::kernels::head_parts {

// A matrix like the logits.
template <class A>
std::size_t workspace_bytes(const HeadShape& s) {
  return std::size_t(s.batch * s.classes) * sizeof(A);
}

inline void check_shape(const char* expected, const HeadShape& s) {
  require_argument(s.batch >= 0, expected, s.batch);
  require_argument(s.pixels >= 1, expected, s.pixels);
  require_argument(s.channels >= 1, expected, s.channels);
  require_argument(s.classes >= 1, expected, s.classes);
}

// What every backend refuses; true where the loss is asked for anything.
template <class A>
bool check_forward(const HeadShape& s, const SoftmaxLoss<A>& loss, const SoftmaxLossOutputs<A>& out,
                   Workspace workspace) {
  check_shape("head_forward: expected batch >= 0 and other sizes >= 1", s);
  require_argument(workspace.bytes >= workspace_bytes<A>(s),
                   "head_forward: expected a workspace of head_workspace_bytes",
                   std::int64_t(workspace.bytes));
  if (!out.losses && !out.dlogits && !out.dlogits_weighted && !out.correct) return false;
  require_argument(loss.rows == s.batch, "head_forward: expected as many rows of loss as samples",
                   loss.rows);
  require_argument(loss.classes == s.classes, "head_forward: expected the classes of the loss",
                   loss.classes);
  return true;
}

template <class A>
void check_jvp(const HeadShape& s, Workspace workspace) {
  check_shape("head_jvp: expected batch >= 0 and other sizes >= 1", s);
  require_argument(workspace.bytes >= workspace_bytes<A>(s),
                   "head_jvp: expected a workspace of head_workspace_bytes",
                   std::int64_t(workspace.bytes));
}

inline void check_predict(std::int64_t rows, std::int64_t classes, const std::int64_t* labels,
                          const HeadPredictions& out) {
  require_argument(rows >= 0, "head_predict: expected rows >= 0", rows);
  require_argument(classes >= 1, "head_predict: expected classes >= 1", classes);
  require_argument(labels || !(out.correct || out.class_correct || out.class_total),
                   "head_predict: expected labels for correct and the counts", std::int64_t(0));
}

// rows [batch, classes] += bias [classes]
template <class B, class A>
void add_to_rows(Stream stream, const HeadShape& s, const A* bias, A* rows, A* scratch) {
  const BroadcastShape shape{{1, 1, 1, 1, 1, s.classes}, {1, 1, 1, 1, s.batch, s.classes}};
  broadcast<B, A>(stream, shape, bias, scratch);
  binary<B, A>(stream, Binary::add, s.batch * s.classes, rows, scratch, rows);
}

template <class B, class T>
void forward(Stream stream, const HeadShape& s, const T* x, const HeadWeights<Acc<T>>& weights,
             const SoftmaxLoss<Acc<T>>& loss, Acc<T>* features, Acc<T>* logits,
             const SoftmaxLossOutputs<Acc<T>>& out, bool with_loss, Workspace workspace) {
  using A = Acc<T>;
  A* scratch = static_cast<A*>(workspace.data);
  global_avg_pool_forward<B, T>(stream, s.batch, s.pixels, s.channels, x, features);
  gemm<B, A>(stream, {s.batch, s.classes, s.channels, false, true}, features, weights.weight,
             logits);
  if (weights.bias) add_to_rows<B, A>(stream, s, weights.bias, logits, scratch);
  if (with_loss) softmax_loss<B, A>(stream, loss, logits, out);
}

template <class B, class T>
void backward(Stream stream, const HeadShape& s, const Acc<T>* weight, const Acc<T>* dlogits,
              Acc<T>* dfeatures, T* dx) {
  gemm<B, Acc<T>>(stream, {s.batch, s.channels, s.classes}, dlogits, weight, dfeatures);
  if (dx) global_avg_pool_backward<B, T>(stream, s.batch, s.pixels, s.channels, dfeatures, dx);
}

template <class B, class T>
void weight_gradients(Stream stream, const HeadShape& s, const T* features, const T* dlogits,
                      T* dweight, T* dbias) {
  gemm<B, T>(stream, {s.classes, s.channels, s.batch, true, false}, dlogits, features, dweight);
  const BroadcastShape over_batch{{1, 1, 1, 1, 1, s.classes}, {1, 1, 1, 1, s.batch, s.classes}};
  if (dbias) sum_to<B, T>(stream, over_batch, dlogits, dbias);
}

template <class B, class T>
void jvp(Stream stream, const HeadShape& s, const Acc<T>* weight, const Acc<T>* features,
         const Acc<T>* dlogits, const HeadTangents<T>& tangents, const HeadTangentOutputs<T>& out,
         Workspace workspace) {
  using A = Acc<T>;
  A* scratch = static_cast<A*>(workspace.data);
  const GemmShape classify{s.batch, s.classes, s.channels, false, true};
  const std::int64_t count = s.batch * s.classes;
  if (tangents.x) {
    global_avg_pool_forward<B, T>(stream, s.batch, s.pixels, s.channels, tangents.x, out.features);
    gemm<B, A>(stream, classify, out.features, weight, out.logits);
  } else {
    fill<B, A>(stream, s.batch * s.channels, 0, out.features);
    fill<B, A>(stream, count, 0, out.logits);
  }
  if (tangents.weights.weight) {
    gemm<B, A>(stream, classify, features, tangents.weights.weight, scratch);
    binary<B, A>(stream, Binary::add, count, out.logits, scratch, out.logits);
  }
  if (tangents.weights.bias) {
    add_to_rows<B, A>(stream, s, tangents.weights.bias, out.logits, scratch);
  }
  if (!dlogits) return;
  binary<B, A>(stream, Binary::multiply, count, dlogits, out.logits, scratch);
  const BroadcastShape over_classes{{1, 1, 1, 1, s.batch, 1}, {1, 1, 1, 1, s.batch, s.classes}};
  sum_to<B, A>(stream, over_classes, scratch, out.slopes);
}

}  // namespace ek::kernels::head_parts
