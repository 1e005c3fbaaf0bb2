#pragma once
#include <vector>

#include "methods/method.h"
#include "methods/pass.h"

namespace ek {

// A method whose step is one gradient of one scalar by all that learns. It says what the scalar is;
// the step, the audit against finite differences and the derivatives for the precision report
// follow from that.
class GradientMethod : public Method {
 public:
  Report step(State& state, const Step& step) const final;
  Audit audit(const State& state, const Step& step) const final;
  std::vector<Derivative> derivatives(const State& state, const Step& step) const final;

 protected:
  explicit GradientMethod(const MethodSetup& setup);

  struct Objective {
    Tensor loss;                                               // [], what is differentiated
    std::vector<std::pair<std::string, Tensor>> numbers = {};  // more for the report, [] each
  };
  virtual Objective objective(Pass& pass, const Step& step) const = 0;

 private:
  const Inputs& inputs_;
  Tensor one_;  // the loss's cotangent
};

}  // namespace ek
