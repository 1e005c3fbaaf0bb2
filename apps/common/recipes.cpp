#include "apps/common/recipes.h"

#include "apps/common/builtin_recipes.h"
#include "apps/common/recipe_text.h"

namespace ek {

Recipe load_recipe(const std::string& name_or_path, const std::vector<std::string>& sets) {
  const RecipeText found = find_recipe(name_or_path);
  return Recipe::resolve(found.json, found.source, sets);
}

std::string list_recipes() {
  std::string text;
  for (const EmbeddedText& recipe : builtin_recipes()) {
    const auto json = nlohmann::json::parse(recipe.text);
    text += fmt::format("{:<36} {}\n", recipe.name, json.value("doc", ""));
  }
  return text;
}

}  // namespace ek
