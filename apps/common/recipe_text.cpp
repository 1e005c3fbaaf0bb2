#include "apps/common/recipe_text.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <vector>

#include "apps/common/builtin_recipes.h"
#include "engine/io/atomic_file.h"
#include "engine/io/strict_json.h"
#include "engine/io/text.h"
#include "kernels/base/error.h"

namespace ek {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t limit_bytes = 1 << 20;
constexpr int levels = 24;             // of a config.json, which holds a recipe
constexpr std::size_t most_bases = 8;  // recipes that extend each other

struct Found {
  std::string text;
  fs::path folder;  // of a file
};

std::optional<Found> builtin(const std::string& name) {
  const auto all = builtin_recipes();
  const auto found = std::ranges::find(all, name, &EmbeddedText::name);
  if (found == all.end()) return std::nullopt;
  return Found{std::string(found->text), {}};
}

Found look_up(const std::string& name, const fs::path& folder, const std::string& who) {
  if (auto found = builtin(name)) return *found;
  fs::path path = folder / name;
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) path /= "config.json";
  if (!fs::exists(path, ignored)) {
    std::vector<std::string> names;
    for (const EmbeddedText& recipe : builtin_recipes()) names.emplace_back(recipe.name);
    fail("{}: neither a built-in recipe nor a file or run folder{}", who,
         did_you_mean(name, names));
  }
  return {read_file(path, limit_bytes), path.parent_path()};
}

// The recipe as an object; null for what is no JSON object, which resolving the text explains.
json object_of(const std::string& text, const std::string& who) {
  json value;
  try {
    value = parse_strict_json(text, levels, "a recipe", who);
  } catch (const json::exception&) {
    return nullptr;
  }
  if (!value.is_object()) return nullptr;
  const auto inner = value.find("recipe");  // no key of recipes, but of a run's config.json
  return inner != value.end() && inner->is_object() ? *inner : value;
}

// What `own` says, over what `base` says. Keys of a method or loss go with its name.
json merged(json base, const json& own) {
  for (const auto& [key, value] : own.items()) {
    json& place = base[key];
    if (!value.is_object() || !place.is_object()) {
      place = value;
      continue;
    }
    const auto name = value.find("name");
    const bool other =
        name != value.end() && !name->is_null() && place.value("name", json()) != *name;
    if (other && (key == "method" || key == "loss")) place = json::object();
    place.update(value);
  }
  return base;
}

}  // namespace

RecipeText find_recipe(const std::string& name_or_path) {
  const std::string who = "recipe " + printable(name_or_path);
  Found found = look_up(name_or_path, "", "--recipe " + printable(name_or_path));
  json recipe = object_of(found.text, who);
  if (recipe.is_null()) return {found.text, name_or_path};
  for (std::size_t bases = 0; recipe.contains("extends"); ++bases) {
    const json base_name = recipe["extends"];
    require(base_name.is_string(), "{}: 'extends' expected the name of a recipe, came {}", who,
            shown(base_name));
    require(bases < most_bases, "{}: 'extends' goes through more than {} recipes (in a circle?)",
            who, most_bases);
    const std::string name = base_name.get<std::string>();
    found = look_up(name, found.folder, fmt::format("{}: extends '{}'", who, printable(name)));
    const json base = object_of(found.text, who + ", which extends " + printable(name));
    require(!base.is_null(), "{}: extends '{}', which is no JSON object", who, printable(name));
    recipe.erase("extends");
    recipe = merged(base, recipe);
  }
  return {recipe.dump(), name_or_path};
}

}  // namespace ek
