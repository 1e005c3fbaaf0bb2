#include "methods/parts.h"

namespace ek {

std::unique_ptr<Optimizer> make_optimizer(const OptimizerSpec& spec) {
  if (const auto* adam = std::get_if<Adam::Settings>(&spec.settings)) {
    return std::make_unique<Adam>(*adam);
  }
  return std::make_unique<Sgd>(std::get<Sgd::Settings>(spec.settings));
}

PartDecl trained(const Model& model, OptimizerSpec optimizer, std::vector<GroupSpec> groups) {
  return {.name = "model",
          .params = model.parameters(),
          .buffers = model.buffers(),
          .motion = Learns{std::move(optimizer), std::move(groups)}};
}

PartDecl follower(std::string name, const Model& model, std::string of, double momentum) {
  return {.name = std::move(name),
          .params = model.parameters(),
          .buffers = model.buffers(),
          .start = CopyOf{of},
          .motion = Follows{std::move(of), momentum},
          .at_inference = false};
}

PartDecl table(std::string name, Shape shape, bool at_inference) {
  return {.name = std::move(name),
          .params = {{"value", std::move(shape)}},
          .at_inference = at_inference};
}

}  // namespace ek
