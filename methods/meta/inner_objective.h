#pragma once
#include <functional>

#include "engine/tensor/number.h"
#include "engine/training/params.h"

namespace ek {

// What the inner step of a bilevel method minimises: a scalar T(l, theta) of the per-sample losses
// l [B] of the train batch and of the outer parameters theta. Class weights are
// T = sum_i w(theta)[y_i] l_i / B; a weighting network that sees the losses is
// T = sum_i V(l_i; theta) l_i / sum_i V(l_i; theta).
//
// Both derivatives that a step needs follow from T by the tape. A method that knows them in fewer
// launches gives them too; the tests of such a method compare them with those of the tape.
struct InnerObjective {
  std::function<Tensor(const Tensor& losses, const Params& theta)> value;
  // c = dT/dl, [B]
  std::function<Tensor(const Tensor& losses, const Params& theta)> known_cotangent = {};
  // scale * d/dtheta <slopes, c(l, theta)>, with l and the slopes [B] constant
  std::function<Params(const Tensor& losses, const Params& theta, const Tensor& slopes,
                       const Number& scale)>
      known_gradient = {};

  Tensor cotangent(const Tensor& losses, const Params& theta) const;
  Params gradient(const Tensor& losses, const Params& theta, const Tensor& slopes,
                  const Number& scale) const;
  // The same without what is known, by the tape alone.
  InnerObjective by_tape() const { return {value}; }
};

// T = sum_i w[y_i] l_i / B for theta = {"class_weights": w [C]} and labels y, int64 [B]. Its
// gradient is zero for classes without a label in the batch.
InnerObjective class_weighted_mean(const Tensor& labels);

// Theta of class_weighted_mean.
Params as_class_weights(const Tensor& weights);

}  // namespace ek
