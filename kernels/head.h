#pragma once
#include "kernels/softmax.h"

namespace ek::kernels {

// The classification head: the mean over the pixels, a linear classifier, and the loss of
// kernels/softmax.h. T is the type of the images; everything else has its accumulation type A.
//
//   f_i = mean over the pixels of x_i      z_i = W f_i + b      l_i = loss of row i of z
//
// x [batch, pixels, channels], f [batch, channels], W [classes, channels], b [classes],
// z [batch, classes], l [batch]. A GPU may run each function in one launch. Matrix products of
// float32 are exact on every backend (kernels/base/float_products.h), and no sum depends on the
// order in which threads finish.
struct HeadShape {
  std::int64_t batch, pixels, channels, classes;
};

// Also tangents of them. A bias of null is none.
template <class A>
struct HeadWeights {
  const A* weight = nullptr;
  const A* bias = nullptr;
};

// Workspace of head_forward and head_jvp.
template <class B, class T>
std::size_t head_workspace_bytes(const HeadShape& shape);

// features = f, logits = z, both always written, and of the losses and gradients what `out` asks
// for; where that is nothing, `loss` is not looked at. loss.rows and loss.classes must be the
// shape's batch and classes.
template <class B, class T>
void head_forward(Stream stream, const HeadShape& shape, const T* x,
                  const HeadWeights<Acc<T>>& weights, const SoftmaxLoss<Acc<T>>& loss,
                  Acc<T>* features, Acc<T>* logits, const SoftmaxLossOutputs<Acc<T>>& out,
                  Workspace workspace);

// dfeatures [batch, channels] = dlogits W; dx, unless it is null, is that spread over the pixels.
template <class B, class T>
void head_backward(Stream stream, const HeadShape& shape, const Acc<T>* weight,
                   const Acc<T>* dlogits, Acc<T>* dfeatures, T* dx);

// dweight = dlogits^T f; dbias, unless it is null, is the sum of dlogits over the batch. T is an
// accumulation type here: no image takes part.
template <class B, class T>
void head_weight_gradients(Stream stream, const HeadShape& shape, const T* features,
                           const T* dlogits, T* dweight, T* dbias);

// The tangent of the whole head along x' and (W', b'), either of which may be null, for zero:
//   f'_i = mean of x'_i      z'_i = W f'_i + W' f_i + b'      l'_i = <dl_i/dz_i, z'_i>
// dlogits is the unweighted gradient that head_forward wrote, so that scale, margins, prior and
// targets enter through it alone; slopes [batch] is l'. All three outputs are written, or features
// and logits alone where dlogits is null.
template <class T>
struct HeadTangents {
  const T* x = nullptr;
  HeadWeights<Acc<T>> weights;
};
template <class T>
struct HeadTangentOutputs {
  Acc<T>*features, *logits, *slopes;
};
template <class B, class T>
void head_jvp(Stream stream, const HeadShape& shape, const Acc<T>* weight, const Acc<T>* features,
              const Acc<T>* dlogits, const HeadTangents<T>& tangents,
              const HeadTangentOutputs<T>& out, Workspace workspace);

// What an evaluation makes of logits [rows, classes]. A null output is not written; the counts,
// [classes] each, are added to, not cleared, and `correct` and they need labels [rows], each in
// [0, classes).
struct HeadPredictions {
  std::int64_t* prediction = nullptr;  // [rows], the first maximum; -1 of a row that holds a NaN
  std::uint8_t* correct = nullptr;     // [rows], whether that is the label
  std::int64_t* class_correct = nullptr;
  std::int64_t* class_total = nullptr;  // rows of each class, right or wrong
};
template <class B, class T>
void head_predict(Stream stream, std::int64_t rows, std::int64_t classes, const T* logits,
                  const std::int64_t* labels, const HeadPredictions& out);

}  // namespace ek::kernels
