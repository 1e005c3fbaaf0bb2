#pragma once
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "methods/inputs.h"
#include "methods/state.h"
#include "models/weights.h"

namespace ek {

// The parts of a state as an objective sees them during one differentiated pass.
class Pass {
 public:
  // `tracked` replaces the learned parameters of the parts that it names.
  Pass(const State& state, const Inputs& inputs,
       std::map<std::string, Params, std::less<>> tracked);

  // The weights of a network: tracked where the part learns, constant elsewhere. The statistics
  // that batch norms note are the state's after the step.
  Weights& weights(std::string_view part);
  // A tensor of a part, tracked where it learns.
  Tensor tensor(std::string_view part, std::string_view name = "value") const;
  // What an input run predicts by its own method; constant.
  Outputs infer(std::string_view input, const Tensor& images) const;

  // What is left to write when the pass is over.
  std::vector<std::pair<std::string, Params>> new_buffers() const;

 private:
  Params params(std::string_view part) const;

  const State& state_;
  const Inputs& inputs_;
  std::map<std::string, Params, std::less<>> tracked_;
  std::map<std::string, Weights, std::less<>> weights_;
};

}  // namespace ek
