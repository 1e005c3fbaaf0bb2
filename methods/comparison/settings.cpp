#include "methods/comparison/settings.h"

#include <algorithm>
#include <array>

#include "kernels/base/error.h"
#include "methods/recipes/recipe.h"

namespace ek {
namespace {

using nlohmann::json;

constexpr std::array without_effect{"doc", "data.source", "log.every", "checkpoint.every"};
constexpr std::array split_keys{"data.profile", "data.imbalance",   "data.n_max",
                                "data.subset",  "data.subset_seed", "data.meta_per_class"};

template <class Names>
bool has(const Names& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

std::string text_of(const json& value) {
  if (value.is_number_float()) return fmt::format("{}", value.get<double>());
  if (value.is_string() && !value.get<std::string>().empty()) return value.get<std::string>();
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// "supervised" of method.name; empty where there is no such key.
std::string name_at(const RunSettings& settings, const std::string& path) {
  const auto found = settings.values.find(path);
  return found != settings.values.end() && found->second.is_string()
             ? found->second.get<std::string>()
             : "";
}

// The defaults of the recipe that these settings come from; none where this version does not know
// its method or loss.
std::map<std::string, json> defaults_of(const RunSettings& settings) {
  std::map<std::string, json> defaults;
  try {
    for (const KeySpec& key :
         recipe_keys(name_at(settings, "method.name"), name_at(settings, "loss.name"))) {
      defaults.emplace(key.path, key.fallback);
    }
  } catch (const Error&) {
  }
  return defaults;
}

}  // namespace

RunSettings settings_of(const json& config, const std::string& where) {
  const auto recipe = config.find("recipe");
  require(recipe != config.end() && recipe->is_object(), "{}: expected an object \"recipe\"",
          where);
  RunSettings out;
  for (const auto& [group, value] : recipe->items()) {
    if (!value.is_object()) {
      out.values.emplace(group, value);
      continue;
    }
    for (const auto& [key, entry] : value.items()) out.values.emplace(group + "." + key, entry);
  }
  for (const char* key : without_effect) out.values.erase(key);
  if (const auto seed = out.values.find("seed"); seed != out.values.end()) {
    out.seed = seed->second;
    out.values.erase(seed);
  }
  for (const char* key : {"precision", "device", "init"}) {
    const auto found = config.find(key);
    if (found != config.end() && *found != "") out.values.emplace(key, *found);
  }
  return out;
}

bool is_split_key(std::string_view path) {
  return has(split_keys, path);
}

RunSettings without_split(RunSettings settings) {
  for (const char* key : split_keys) settings.values.erase(key);
  return settings;
}

std::vector<std::string> differences(const RunSettings& first, const RunSettings& other) {
  const auto defaults = defaults_of(other);
  std::vector<std::string> chosen, out;
  for (const auto& [path, value] : other.values) {
    const auto there = first.values.find(path);
    const auto fallback = defaults.find(path);
    if (there != first.values.end() ? there->second == value
                                    : fallback != defaults.end() && fallback->second == value) {
      continue;
    }
    (path == "method.name" || path == "loss.name" ? chosen : out)
        .push_back(fmt::format("{}={}", path, text_of(value)));
  }
  out.insert(out.begin(), chosen.rbegin(), chosen.rend());
  for (const char* key : {"precision", "device", "init"}) {
    if (first.values.contains(key) && !other.values.contains(key)) {
      out.push_back(fmt::format("no {}", key));
    }
  }
  if (first.seed != other.seed) out.push_back(fmt::format("seed={}", text_of(other.seed)));
  return out;
}

bool same_but_for_seed(const RunSettings& a, const RunSettings& b) {
  const RunSettings with_seed_of_a{b.values, a.seed};
  return differences(a, with_seed_of_a).empty() && differences(with_seed_of_a, a).empty();
}

}  // namespace ek
