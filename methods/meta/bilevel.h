#pragma once
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/autodiff/functional.h"
#include "engine/training/optim.h"
#include "engine/training/params.h"
#include "methods/meta/inner_objective.h"

namespace ek {

// How the derivative of the meta loss with respect to the outer parameters theta is found
// (docs/meta-gradient.md). All but `detached` are exact up to rounding.
enum class Estimator {
  forward,            // one tangent sweep over the recorded train batch
  reverse,            // reverse over reverse through the virtual step
  finite_difference,  // two probes of the train losses
  detached,           // theta counts as a constant of the virtual step: zero by definition
};
Estimator parse_estimator(std::string_view text);
std::string_view name_of(Estimator estimator);

// Per-sample, unweighted losses [B] of the train batch as a function of the classifier's
// parameters, and the running statistics after the pass.
using TrainLosses = std::function<std::pair<Tensor, Params>(const Params&)>;
// Scalar loss of the meta batch.
using MetaLoss = std::function<Tensor(const Params&)>;

// phi_hat = phi - lr * factor * D g, where D multiplies each parameter by the factor of its group
// and frozen ones by 0. (Momentum with an old buffer and weight decay would move phi_hat but not
// the derivative.)
struct VirtualStep {
  Number lr = 0;  // may lie in the memory of the device
  double factor = 1;
  std::vector<kernels::OptimSegment> groups = {};  // of phi's flat order; none: 1 for all
};

// One virtual step on phi by the gradient of T(l(phi), theta), judged by the meta batch.
struct BilevelProblem {
  TrainLosses train_losses;
  MetaLoss meta_loss;
  InnerObjective inner;
  VirtualStep step;
};

struct MetaGradient {
  Tensor meta_loss;  // scalar
  Params outer;      // d meta_loss / d theta
  // What it was made of; empty where the estimator takes another way (reverse, detached).
  Params at_virtual_step = {};  // v = D d meta_loss / d phi at phi_hat
  Tensor slopes = {};           // s = J v, J = dl/dphi of the train batch, [B]
};

// phi_hat for the cotangent c = dT/dl [B] of the train losses; `train` is
// linearize(problem.train_losses, phi).
Params virtual_step(const BilevelProblem& problem, const Linearization<Params>& train,
                    const Params& phi, const Tensor& cotangent);

// The meta-gradient at theta: d meta / d theta = -lr factor d/dtheta <s, c(l, theta)> with
// c = dT/dl. `train` is applied, not consumed: the real step can reuse it. `cotangent` is
// inner.cotangent(train.value(), theta).
MetaGradient meta_gradient(Estimator estimator, const BilevelProblem& problem,
                           const Linearization<Params>& train, const Params& phi,
                           const Params& theta, const Tensor& cotangent);

}  // namespace ek
