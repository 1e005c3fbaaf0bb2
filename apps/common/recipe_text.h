#pragma once
#include <string>

namespace ek {

// The text of a recipe and what messages call it.
struct RecipeText {
  std::string json, source;
};

// A recipe by built-in name ("cifar100-lt/ce"), file, run folder or config.json of a run. Where it
// says "extends", what it leaves out is that of the recipe named there: a built-in one, or a file,
// from the folder of this one. Error with the nearest built-in name where there is none.
RecipeText find_recipe(const std::string& name_or_path);

}  // namespace ek
