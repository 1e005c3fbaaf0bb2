#include <algorithm>
#include <set>

#include "methods/recipes/parts.h"
#include "methods/recipes/recipe.h"

namespace ek {
namespace {

std::string group_of(const std::string& path) {
  return path.substr(0, path.find('.'));
}

// "constant | multistep | cosine", with "" for an empty one.
std::string choices_text(const KeySpec& key) {
  std::vector<std::string> names;
  for (const std::string& choice : key.choices) names.push_back(choice.empty() ? "\"\"" : choice);
  return fmt::format("{}", fmt::join(names, " | "));
}

}  // namespace

std::string describe(const Recipe& recipe) {
  const auto keys = recipe_keys(recipe.text("method.name"), recipe.text("loss.name"));
  std::size_t path_width = 0, value_width = 0;
  for (const KeySpec& key : keys) {
    if (key.path == "doc") continue;
    path_width = std::max(path_width, key.path.size());
    value_width = std::max(value_width, recipe.at(key.path).dump().size());
  }
  value_width = std::min<std::size_t>(value_width, 24);

  std::string out = fmt::format("recipe {}: {}\n", recipe.name(), recipe.text("doc"));
  std::string group;
  for (const KeySpec& key : keys) {
    if (key.path == "doc") continue;
    const bool grouped = key.path.find('.') != std::string::npos;
    if (grouped && group_of(key.path) != group) out += "\n";
    if (grouped) group = group_of(key.path);
    const nlohmann::json& value = recipe.at(key.path);
    std::string note = key.doc;
    if (!key.choices.empty()) note += fmt::format(" [{}]", choices_text(key));
    if (value != key.fallback) note += fmt::format(" (default {})", key.fallback.dump());
    out +=
        fmt::format("{:<{}}  {:<{}}  {}\n", key.path, path_width, value.dump(), value_width, note);
  }
  return out;
}

}  // namespace ek
