#pragma once
#include <functional>
#include <string_view>
#include <utility>

#include "engine/autodiff/functional.h"
#include "engine/training/params.h"

namespace ek {

// How the derivative of the meta loss with respect to the class weights is found (DESIGN 2.3, spec
// methods-reweighting 5.2). All but `detached` are exact up to rounding.
enum class Estimator {
  forward,            // one tangent sweep over the recorded train batch
  reverse,            // reverse over reverse through the virtual step
  finite_difference,  // two probes of the train losses
  detached,           // the weights count as constants: zero by definition
};
Estimator parse_estimator(std::string_view text);
std::string_view name_of(Estimator estimator);

// What the train batch's evaluation hands on beside its losses.
struct TrainOutputs {
  Params buffers;
  Tensor logits;
};
// Per-sample, unweighted losses [B] of the train batch as a function of the classifier's
// parameters.
using TrainLosses = std::function<std::pair<Tensor, TrainOutputs>(const Params&)>;
// Scalar loss of the meta batch.
using MetaLoss = std::function<Tensor(const Params&)>;

// One virtual step phi_hat = phi - inner_lr * grad 1/B sum_i w[y_i] l_i(phi), judged by the meta
// batch. (Momentum with an old buffer and weight decay would move phi_hat but not the derivative.)
struct BilevelProblem {
  TrainLosses train_losses;
  MetaLoss meta_loss;
  Tensor labels;        // int64 [B]
  Number inner_lr = 0;  // may lie in the memory of the device
};

struct MetaGradient {
  Tensor meta_loss;      // scalar
  Tensor class_weights;  // d meta_loss / d w, [C]; exactly zero for classes not in the batch
  // What it was made of; empty where the estimator takes another way (reverse, detached).
  Params at_virtual_step = {};  // v = d meta_loss / d phi at phi_hat
  Tensor slopes = {};           // dl_i/dphi . v of the train batch's losses, [B]
};

// The cotangent w[y_i] / B of the per-sample losses, [B].
Tensor loss_cotangent(const Tensor& class_weights, const Tensor& labels);

// phi_hat of the problem; `train` is linearize(problem.train_losses, params).
Params virtual_step(const BilevelProblem& problem, const Linearization<TrainOutputs>& train,
                    const Params& params, const Tensor& class_weights);

// The meta-gradient at `class_weights` [C]. `train` is applied, not consumed: the real step can
// reuse it. The running statistics of batch norm are outputs of train_losses and not touched here.
MetaGradient meta_gradient(Estimator estimator, const BilevelProblem& problem,
                           const Linearization<TrainOutputs>& train, const Params& params,
                           const Tensor& class_weights);

}  // namespace ek
