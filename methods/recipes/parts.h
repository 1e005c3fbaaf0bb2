#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/strict_json.h"  // shown, printable
#include "methods/recipes/recipe.h"

// The steps of Recipe::resolve. `who` starts every message: "recipe cifar100-lt/ce".
namespace ek::recipe_parts {

// "optim.lr" = 0.1, as read and unchecked. `text` is what a command line said.
struct Assignment {
  std::string path;
  nlohmann::json value;
  std::string text = {};
};

// An object as assignments in the order of its sorted keys: a top-level object is a group, whose
// members are assigned one by one; an empty object is none.
std::vector<Assignment> flatten(const nlohmann::json& object, const std::string& who);
// Strict JSON whose top is an object. Error with line and column, or naming a duplicate key.
std::vector<Assignment> parse_file(const std::string& text, const std::string& who);
// "key.path=value", see Recipe::resolve.
std::vector<Assignment> parse_sets(const std::vector<std::string>& sets, const std::string& who);

// The value in the key's own type (an integer for 1e4, a real number for 1), or an Error that says
// what was expected. null becomes the default.
nlohmann::json checked(const KeySpec& key, const Assignment& assignment, const std::string& who);

// Error for a path that is none of `keys`.
[[noreturn]] void fail_unknown(const std::string& path, const std::vector<KeySpec>& keys,
                               const std::string& who);

}  // namespace ek::recipe_parts
