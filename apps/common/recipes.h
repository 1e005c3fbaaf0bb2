#pragma once
#include <string>
#include <vector>

#include "methods/recipes/recipe.h"

namespace ek {

// A recipe by built-in name ("cifar100-lt/ce"), file or run folder (apps/common/recipe_text.h),
// with overrides as Recipe::resolve takes them.
Recipe load_recipe(const std::string& name_or_path, const std::vector<std::string>& sets);

// One line per built-in recipe: its name and what its "doc" says.
std::string list_recipes();

}  // namespace ek
