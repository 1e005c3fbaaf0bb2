#include <algorithm>

#include "data/pipelines.h"
#include "engine/io/text.h"
#include "methods/recipes/catalogue.h"
#include "methods/recipes/parts.h"

namespace ek {
namespace {

using nlohmann::json;
using recipe_parts::Assignment;

const KeySpec* find_key(const std::vector<KeySpec>& keys, std::string_view path) {
  const auto found = std::ranges::find(keys, path, &KeySpec::path);
  return found == keys.end() ? nullptr : &*found;
}

json& slot(json& values, std::string_view path) {
  const auto dot = path.find('.');
  if (dot == std::string_view::npos) return values[std::string(path)];
  return values[std::string(path.substr(0, dot))][std::string(path.substr(dot + 1))];
}

// The last word on `path`, which decides what other keys there are.
std::string chosen(std::string_view path, const std::vector<Assignment>& assignments,
                   const std::vector<KeySpec>& keys, const std::string& who) {
  const KeySpec& key = *find_key(keys, path);
  json value = key.fallback;
  for (const Assignment& a : assignments) {
    if (a.path == path) value = recipe_parts::checked(key, a, who);
  }
  return value.get<std::string>();
}

// A known key of another method or loss is no misspelling: says whose it is.
void fail_foreign(const std::string& path, const std::string& who) {
  auto search = [&](const std::vector<Declared>& entries, const char* kind) {
    for (const Declared& entry : entries) {
      require(!find_key(entry.keys, path),
              "{}: '{}' is a key of {} {}, which this recipe does not use", who, path, kind,
              entry.name);
    }
  };
  search(catalogue().methods, "method");
  search(catalogue().losses, "loss");
}

// What no single key can tell.
void check_together(const Recipe& recipe, const Declared& method, const std::string& who) {
  require(!method.needs_meta || recipe.integer("data.meta_per_class") > 0,
          "{}: 'data.meta_per_class' expected an integer of 1 or more for method {}, came 0", who,
          method.name);
  const json& groups = recipe.at("eval.groups");
  require(groups.size() == 2 && groups[0].get<std::int64_t>() >= groups[1].get<std::int64_t>(),
          "{}: 'eval.groups' expected two integers, the first not below the second, came {}", who,
          shown(groups));
  try {
    check_schedule(recipe.schedule());
    (void)recipe.groups();
    // At the size that the pipelines are made for; the data's own is checked when it is known.
    (void)pipeline_spec(recipe.text("data.augment"), recipe.text("data.normalize"), 32, 32);
  } catch (const Error& error) {
    fail("{}: {}", who, error.what());
  }
}

}  // namespace

Recipe Recipe::resolve(const std::string& text, const std::string& source,
                       const std::vector<std::string>& sets) {
  const std::string who = "recipe " + printable(source);
  std::vector<Assignment> own = recipe_parts::parse_file(text, who);
  for (Assignment& a : recipe_parts::parse_sets(sets, who)) own.push_back(std::move(a));

  const std::vector<KeySpec> common = recipe_keys("supervised", "cross-entropy");
  const Declared& method =
      find_declared(catalogue().methods, "method", chosen("method.name", own, common, who));
  std::vector<Assignment> all;
  if (chosen("method.preset", own, common, who) == "published") {
    require(!method.published.empty(),
            "{}: 'method.preset' expected paper, came published, which method {} does not have",
            who, method.name);
    all = recipe_parts::flatten(method.published, who);
  }
  all.insert(all.end(), own.begin(), own.end());

  const std::vector<KeySpec> keys = recipe_keys(method.name, chosen("loss.name", all, common, who));
  Recipe recipe;
  recipe.name_ = escaped_bytes(source);
  for (const KeySpec& key : keys) slot(recipe.values_, key.path) = key.fallback;
  for (const Assignment& a : all) {
    const KeySpec* key = find_key(keys, a.path);
    if (!key) {
      fail_foreign(a.path, who);
      recipe_parts::fail_unknown(a.path, keys, who);
    }
    slot(recipe.values_, a.path) = recipe_parts::checked(*key, a, who);
  }
  check_together(recipe, method, who);
  return recipe;
}

}  // namespace ek
