// The built-in recipes as a newcomer runs them.
#include <nlohmann/json.hpp>

#include "apps/common/builtin_recipes.h"
#include "apps/common/recipes.h"
#include "methods/training/trainer.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/temp_dir.h"

using namespace ek;

TEST_CASE("every built-in recipe is listed and resolves to itself", "[recipes]") {
  const std::string list = list_recipes();
  REQUIRE(builtin_recipes().size() >= 6);
  for (const EmbeddedText& recipe : builtin_recipes()) {
    INFO(recipe.name);
    const std::string name(recipe.name);
    CHECK(contains(list, name));
    const Recipe resolved = load_recipe(name, {});
    CHECK(Recipe::resolve(resolved.json().dump(), name).json() == resolved.json());
  }
  CHECK(error_of([] { load_recipe("synthetic/c", {}); }) ==
        "--recipe synthetic/c: neither a built-in recipe nor a file or run folder, did you mean "
        "'synthetic/ce'?");
}

TEST_CASE("the quickstart's trainings show what Difficulty-Net is for", "[recipes][slow]") {
  const TempDir dir;
  const auto last = [&](const std::string& name) {
    TrainOptions options;
    options.data = "synthetic:shapes";
    options.out = (dir / name).string();
    train(load_recipe("synthetic/" + name, {}), options, {});
    return nlohmann::json::parse(file_bytes(dir / name / "summary.json"));
  };
  // Ten classes: chance is 0.1.
  CHECK(double(last("ce")["last"]["overall"]) > 0.8);
  const nlohmann::json learned = last("difficulty-net");
  CHECK(double(learned["last"]["overall"]) > 0.8);
  const std::vector<double> weight = learned["class_figures"]["class_weight"];
  // disc: frequent and hard; level-stripes: frequent and easy; upright-stripes: rare and easy.
  CHECK(weight[0] > 2 * weight[2]);
  CHECK(weight[0] > 2 * weight[9]);
}
