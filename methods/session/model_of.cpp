#include "methods/session/model_of.h"

#include "models/registry.h"

namespace ek {

std::unique_ptr<const Model> model_of(const Recipe& recipe, std::int64_t data_classes,
                                      Precision precision) {
  const std::int64_t wanted = recipe.integer("model.num_classes");
  require(wanted == 0 || wanted == data_classes,
          "recipe: model.num_classes is {}, the data has {} classes", wanted, data_classes);
  return make_model(recipe.text("model.name"), data_classes, recipe.text("model.classifier"),
                    recipe.number("model.cosine_scale"), float_products(precision));
}

}  // namespace ek
