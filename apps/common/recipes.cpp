#include "apps/common/recipes.h"

#include <filesystem>

#include "apps/common/builtin_recipes.h"
#include "engine/io/atomic_file.h"
#include "engine/io/text.h"

namespace ek {

Recipe load_recipe(const std::string& name_or_file, const std::vector<std::string>& sets) {
  constexpr std::uint64_t recipe_limit_bytes = 1 << 20;
  std::vector<std::string> names;
  for (const EmbeddedText& recipe : builtin_recipes()) {
    if (recipe.name == name_or_file) {
      return Recipe::resolve(std::string(recipe.text), name_or_file, sets);
    }
    names.emplace_back(recipe.name);
  }
  require(std::filesystem::exists(name_or_file),
          "--recipe {}: neither a built-in recipe nor a file{}", name_or_file,
          did_you_mean(name_or_file, names));
  return Recipe::resolve(read_file(name_or_file, recipe_limit_bytes), name_or_file, sets);
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
