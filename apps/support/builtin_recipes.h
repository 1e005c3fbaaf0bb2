#pragma once
#include <span>
#include <string_view>

namespace ek {

// A recipe of apps/recipes, compiled into the program. `name` is its path there without ".json"
// ("cifar100-lt/ce"), `text` the file, byte for byte.
struct BuiltinRecipe {
  std::string_view name, text;
};

// All of them, sorted by name. (The source of this function is written by the build,
// cmake/embed_json.cmake.)
std::span<const BuiltinRecipe> builtin_recipes();

}  // namespace ek
