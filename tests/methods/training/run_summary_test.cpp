// What a run says about itself before its first step.
#include "methods/training/run_summary.h"

#include "data/images/synthetic.h"
#include "models/registry.h"
#include "tests/catch.h"
#include "tests/error_of.h"

using namespace ek;

namespace {

std::vector<std::string> summary(const DataSource& source, const std::string& recipe_text,
                                 std::int64_t steps) {
  const Recipe recipe = Recipe::resolve(recipe_text, "test");
  const Split split = make_split(source.train, source.num_classes(), recipe.split());
  const auto model = make_model("resnet8", source.num_classes());
  const BatchPlan batches(std::int64_t(split.train_index.size()), recipe.integer("batch_size"),
                          parse_last_batch(recipe.text("data.last_batch")));
  return run_summary({recipe, source, split, *model, batches, steps});
}

}  // namespace

TEST_CASE("a run says what it uses of what is there", "[run-summary]") {
  const DataSource source =
      make_synthetic("shapes", 0, {.train_per_class = 30, .test_per_class = 4});
  const auto lines = summary(source, R"({"data": {"imbalance": 14, "meta_per_class": 2},
                                         "batch_size": 8, "eval": {"groups": [20, 5]}})",
                             45);
  // 28 over 14: 28 20 15 11 8 6 4 3 2 2.
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] ==
        "data: 99 of 300 training images used, 20 held out, 40 test images; 10 classes: 1 many (> "
        "20), 5 medium, 4 few (< 5)");
  // 360 of 99 images.
  CHECK(lines[1] == "model: resnet8, 75290 parameters; 45 steps of 8 images, 3.6 epochs");
}

TEST_CASE("a run warns when its profile throws a long-tailed set away", "[run-summary]") {
  DataSource source = make_synthetic("shapes", 0, {.train_per_class = 40, .test_per_class = 4});
  std::vector<std::int64_t> kept;  // 4 images of the last class, all of the others
  for (std::int64_t i = 0; i < source.train.count(); ++i) {
    if (i < 40 || source.train.labels[std::size_t(i)] != 9) kept.push_back(i);
  }
  source.train = select(source.train, kept);
  const auto lines = summary(source, R"({"data": {"imbalance": 4}})", 1);
  REQUIRE(lines.size() == 3);
  CHECK(contains(lines[2], "of 364 training images of a set that is unbalanced already"));
  CHECK(contains(lines[2], "--set data.profile=none takes them all"));
  CHECK(summary(source, R"({"data": {"profile": "none"}})", 1).size() == 2);
}
