#pragma once
#include <string>
#include <vector>

#include "methods/recipes/recipe.h"

namespace ek {

// A recipe by built-in name ("cifar100-lt/ce") or by file. A name that is neither is an Error with
// the nearest built-in one.
Recipe load_recipe(const std::string& name_or_file, const std::vector<std::string>& sets);

// One line per built-in recipe: its name and what its "doc" says.
std::string list_recipes();

}  // namespace ek
