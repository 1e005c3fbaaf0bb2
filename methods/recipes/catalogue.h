#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "methods/recipes/recipe.h"

namespace ek {

// A method or loss as recipes see it: a name and the keys that it brings along.
struct Declared {
  std::string name, doc;
  std::vector<KeySpec> keys;           // "method.*", "loss.*"
  nlohmann::json published = nullptr;  // a method's preset "published"
  bool needs_meta = false;             // a method's: images per class are held out by default
};

struct Catalogue {
  std::vector<Declared> methods, losses;
  std::vector<std::string> normalizers;  // of weighted losses
};

// All that there is. Recipes lie below the methods that they name, so methods/registry.cpp, which
// lies above, defines it.
const Catalogue& catalogue();

// The entry of that name; Error with the nearest known name. `kind` is "method" or "loss".
const Declared& find_declared(const std::vector<Declared>& entries, std::string_view kind,
                              std::string_view name);

}  // namespace ek
