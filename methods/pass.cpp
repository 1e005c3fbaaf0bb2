#include "methods/pass.h"

#include "kernels/base/error.h"

namespace ek {
namespace {

// The part's parameters with those that are learned replaced.
Params with_learned(const Part& part, const Params& learned) {
  if (part.constant.empty()) return learned;
  std::vector<Params::Entry> entries;
  for (const auto& [name, tensor] : part.params) {
    entries.push_back({name, learned.contains(name) ? learned[name] : tensor});
  }
  return Params(std::move(entries));
}

}  // namespace

Pass::Pass(const State& state, const Inputs& inputs,
           std::map<std::string, Params, std::less<>> tracked)
    : state_(state), inputs_(inputs), tracked_(std::move(tracked)) {}

Params Pass::params(std::string_view part) const {
  const Part& found = state_[part];
  const auto it = tracked_.find(part);
  return it == tracked_.end() ? found.params : with_learned(found, it->second);
}

Weights& Pass::weights(std::string_view part) {
  const auto it = weights_.find(part);
  if (it != weights_.end()) return it->second;
  const Part& found = state_[part];
  return weights_
      .emplace(std::string(part), Weights(params(part), found.buffers, found.decl.statistics))
      .first->second;
}

Tensor Pass::tensor(std::string_view part, std::string_view name) const {
  return params(part)[name];
}

Outputs Pass::infer(std::string_view input, const Tensor& images) const {
  return inputs_[input].infer(images);
}

std::vector<std::pair<std::string, Params>> Pass::new_buffers() const {
  std::vector<std::pair<std::string, Params>> all;
  for (const auto& [part, weights] : weights_) {
    if (weights.moved()) all.emplace_back(part, weights.buffers_after());
  }
  return all;
}

}  // namespace ek
