#include "models/registry.h"

#include <array>

#include "models/resnet_cifar.h"
#include "models/toy.h"

namespace ek {
namespace {

struct Named {
  std::string_view name;
  int blocks_per_stage;
};
constexpr std::array cifar_resnets{Named{"resnet8", 1}, Named{"resnet20", 3}, Named{"resnet32", 5}};

}  // namespace

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const Named& entry : cifar_resnets) names.emplace_back(entry.name);
  return names;
}

std::unique_ptr<const Model> make_model(std::string_view name, std::int64_t num_classes,
                                        std::string_view classifier, double cosine_scale,
                                        kernels::FloatProducts products) {
  for (const Named& entry : cifar_resnets) {
    if (entry.name != name) continue;
    return std::make_unique<ResNetCifar>(std::string(name), entry.blocks_per_stage, num_classes,
                                         parse_classifier(classifier), cosine_scale, products);
  }
  if (name == "toy") {
    return std::make_unique<Toy>(num_classes, parse_classifier(classifier), cosine_scale);
  }
  fail("model: \"{}\" is not known; there are {}", name, fmt::join(model_names(), ", "));
}

}  // namespace ek
