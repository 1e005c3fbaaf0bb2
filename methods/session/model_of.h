#pragma once
#include <memory>

#include "engine/tensor/precision.h"
#include "methods/recipes/recipe.h"
#include "models/model.h"

namespace ek {

// The model of a recipe for data of so many classes; Error where model.num_classes says another
// number.
std::unique_ptr<const Model> model_of(const Recipe& recipe, std::int64_t data_classes,
                                      Precision precision);

}  // namespace ek
