// docs/recipes.md lists every key with its default and meaning; this keeps it from drifting.
#include <algorithm>
#include <fstream>

#include "engine/io/number.h"
#include "methods/losses/loss.h"
#include "methods/method.h"
#include "methods/recipes/recipe.h"
#include "tests/catch.h"
#include "tests/paths.h"

namespace {

// The row of the page's tables: key, default, allowed values, meaning.
std::string row(const ek::KeySpec& key) {
  std::string allowed;
  if (!key.choices.empty()) {
    for (const std::string& choice : key.choices) {
      if (!choice.empty()) allowed += (allowed.empty() ? "" : ", ") + choice;
    }
  } else if (key.fallback.is_boolean()) {
    allowed = "true, false";
  } else if (key.fallback.is_array()) {
    allowed = "list";
  } else if (key.fallback.is_number()) {
    allowed = key.fallback.is_number_integer() ? "integer" : "number";
    const bool below = key.minimum > -1e300, above = key.maximum < 1e300;
    const char* least = key.exclusive && !above ? ">" : ">=";
    const char* most = key.exclusive ? "<" : "<=";
    if (below) allowed += fmt::format(" {} {}", least, ek::limit_text(key.minimum));
    if (above)
      allowed += fmt::format("{} {} {}", below ? "," : "", most, ek::limit_text(key.maximum));
  } else {
    allowed = "text";
  }
  return fmt::format("| `{}` | `{}` | {} | {} |", key.path, key.fallback.dump(), allowed, key.doc);
}

std::vector<std::string> expected_rows() {
  std::vector<std::string> rows;
  auto add = [&](const std::vector<ek::KeySpec>& keys) {
    for (const ek::KeySpec& key : keys) {
      const std::string text = row(key);
      if (std::ranges::count(rows, text) == 0) rows.push_back(text);
    }
  };
  // First the plain methods: they leave the common keys as they are.
  add(ek::recipe_keys("supervised", "cross-entropy"));
  for (const auto& method : ek::method_registry()) add(method.keys);
  for (const auto& loss : ek::loss_registry()) add(loss.keys);
  return rows;
}

}  // namespace

TEST_CASE("docs/recipes.md has a row for every key, and none beside") {
  std::ifstream page(source_dir() + "/docs/recipes.md");
  REQUIRE(page.good());
  std::vector<std::string> found;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("| `")) found.push_back(line);
  }
  const auto expected = expected_rows();
  for (const std::string& line : expected) {
    if (std::ranges::count(found, line) != 1) FAIL_CHECK("missing or repeated:\n" << line);
  }
  for (const std::string& line : found) {
    if (std::ranges::count(expected, line) == 0) FAIL_CHECK("stale:\n" << line);
  }
}

TEST_CASE("docs/recipes.md names every method and loss") {
  std::ifstream page(source_dir() + "/docs/recipes.md");
  const std::string text{std::istreambuf_iterator<char>(page), {}};
  auto check = [&](const auto& registry) {
    for (const auto& entry : registry) {
      INFO(entry.name);
      REQUIRE(text.find(fmt::format("- `{}`: {}", entry.name, entry.doc)) != std::string::npos);
    }
  };
  check(ek::method_registry());
  check(ek::loss_registry());
}
