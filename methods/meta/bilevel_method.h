#pragma once
#include <memory>
#include <string>

#include "methods/meta/bilevel.h"
#include "methods/method.h"

namespace ek {

// A method with two levels: an outer part, whose parameters theta say how the samples count, learns
// by the exact meta-gradient of a virtual step of the part "model" (docs/meta-gradient.md).
//
// One step, with the forward pass over the train batch run once:
//   l = losses(phi), c = dT/dl                       forward
//   phi_hat = phi - lr D J^T c                       backward
//   v = D d meta_loss / d phi at phi_hat             forward and backward on the meta batch
//   s = J v                                          tangent sweep
//   theta <- optimiser(-lr d/dtheta <s, c> + d regulariser / d theta)
//   phi <- optimiser(J^T c), c anew at the new theta  backward only
//
// A method says what the losses, T, the meta loss and the regulariser are; the step, the audit line
// by line and the derivatives for the precision report follow.
class BilevelMethod : public Method {
 public:
  std::string why_not_captured() const override;
  Report step(State& state, const Step& step) const final;
  Audit audit(const State& state, const Step& step) const final;
  std::vector<Derivative> derivatives(const State& state, const Step& step) const final;

 protected:
  // `outer` names the part that theta is. Error for an estimator that the precision has no digits
  // for.
  BilevelMethod(const MethodSetup& setup, Estimator estimator, std::string outer);

  // What T sees of theta, which may be made of it first (class weights), and what making it left
  // behind for pulled_back().
  struct Seen {
    Params values;
    std::shared_ptr<const void> kept = {};
  };

  // Per-sample losses [B] of the train batch, and the loss [] of the meta batch.
  virtual Tensor losses(Weights& weights, const Step& step) const = 0;
  virtual Tensor meta_loss(Weights& weights, const Step& step) const = 0;
  // T(l, seen).
  virtual InnerObjective inner(const State& state, const Step& step) const = 0;
  // What pulls at theta beside the meta loss, [] or undefined.
  virtual Tensor regulariser(const Params&, const State&) const { return {}; }
  virtual std::string regulariser_name() const { return "regulariser"; }

  // What T sees of theta, by the tape; theta itself unless a method says otherwise.
  virtual Params seen(const Params& theta, const State&) const { return theta; }
  virtual std::string seen_name() const { return "outer parameters"; }
  // The same without a tape, and the gradient by theta of <seen_gradient, seen(theta)> +
  // regulariser(theta, state), flat: by the tape unless a method knows them in fewer launches.
  virtual Seen see(const State& state) const;
  virtual Params pulled_back(const State& state, const Seen& seen,
                             const Params& seen_gradient) const;
  // The state that an audit probes; a regulariser may be blind at the first one.
  virtual void prepare_audit(State&) const {}
  // More numbers for the report, after the update of theta.
  virtual void add_numbers(Report&, const Params&) const {}

  const Model& model() const { return model_; }
  Estimator estimator() const { return estimator_; }

 private:
  BilevelProblem problem(const State& state, const Step& step) const;
  Params theta_gradient(const Params& theta, const State& state, const Params& seen_gradient) const;

  const Model& model_;
  Estimator estimator_;
  std::string outer_;
};

}  // namespace ek
