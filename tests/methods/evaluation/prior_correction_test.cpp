// Post-compensation against the golden values.
#include "methods/evaluation/prior_correction.h"

#include "methods/losses/loss.h"

#include <cmath>

#include "methods/evaluation/metrics.h"
#include "methods/evaluation/recall.h"
#include "methods/recipes/recipe.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/methods/golden.h"

using namespace ek;

namespace {

using Counts = std::vector<std::int64_t>;
// The golden files carry 12 significant digits of numbers below 10.
constexpr double golden_tolerance = 1e-10;

}  // namespace

TEST_CASE("golden post-compensation", "[prior-correction]") {
  bool found = false;
  const auto file = golden("experts_shift_pc.json");
  for (const auto& entry : file["cases"]) {
    if (entry["name"] != "post_compensation") continue;
    found = true;
    const auto& inputs = entry["inputs"];
    const auto& expected = entry["expected"];
    const Predictions plain{3, numbers(inputs["logits"]), {0, 0, 0, 0}};
    const Counts source{100, 20, 5}, target = inputs["target_counts"];
    REQUIRE(numbers(inputs["class_counts"]) == std::vector<double>(source.begin(), source.end()));

    const Predictions ce = correct_prior(plain, 1, source, target);
    const Predictions free = correct_prior(plain, 0, source, target);
    REQUIRE(worst_error(ce.logits, numbers(expected["ce_trained"]), 1) <= golden_tolerance);
    REQUIRE(worst_error(free.logits, numbers(expected["bsce_or_dive_trained"]), 1) <=
            golden_tolerance);
    REQUIRE(predicted_classes(plain) == expected["argmax_plain"].get<Counts>());
    REQUIRE(predicted_classes(ce) == expected["argmax_ce_trained"].get<Counts>());
    REQUIRE(predicted_classes(free) == expected["argmax_bsce_trained"].get<Counts>());
  }
  REQUIRE(found);
}

TEST_CASE("equal priors leave cross-entropy's logits as they are", "[prior-correction]") {
  const Predictions p{3, {0.1, -2.7, 3.3, 1e-9, 5, -5}, {0, 1}};
  const Counts counts{117, 23, 7};
  REQUIRE(correct_prior(p, 1, counts, counts).logits == p.logits);
}

TEST_CASE("a uniform target leaves the decisions of prior-free logits", "[prior-correction]") {
  const Predictions p{3, {0.1, -2.7, 3.3, 1e-9, 5, -5}, {0, 1}};
  const Predictions corrected = correct_prior(p, 0, Counts{117, 23, 7}, Counts{4, 4, 4});
  REQUIRE(predicted_classes(corrected) == predicted_classes(p));
  for (std::size_t i = 0; i < p.logits.size(); ++i) {
    REQUIRE(std::abs(corrected.logits[i] - p.logits[i] + std::log(3.0)) <= 1e-14);
  }
}

TEST_CASE("how much of the prior a loss leaves in the logits", "[prior-correction]") {
  const auto of_loss = [](const char* loss) {
    return absorbed_prior(Recipe::resolve(loss, "test"));
  };
  REQUIRE(of_loss(R"({"loss": {"name": "cross-entropy"}})") == 1);
  REQUIRE(of_loss(R"({"loss": {"name": "class-weighted"}})") == 1);
  REQUIRE(of_loss(R"({"loss": {"name": "balanced-softmax"}})") == 0);
  REQUIRE(of_loss(R"({"loss": {"name": "logit-adjusted"}})") == 0);
  REQUIRE(of_loss(R"({"loss": {"name": "logit-adjusted", "tau": 0.25}})") == 0.75);
}

TEST_CASE("the rule comes from the recipe's loss", "[prior-correction]") {
  const auto of = [](const std::string& text) {
    return absorbed_prior(Recipe::resolve(text, "test"));
  };
  REQUIRE(of(R"({"loss": {"name": "cross-entropy"}})") == 1);
  REQUIRE(of(R"({"loss": {"name": "balanced-softmax"}})") == 0);
  REQUIRE(of(R"({"loss": {"name": "logit-adjusted", "tau": 1.5}})") == -0.5);
  const std::string balanced = R"({"data": {"sampler": "class-balanced"}})";
  REQUIRE(contains(error_of([&] { of(balanced); }), "data.sampler is class-balanced"));
}

TEST_CASE("classes that cannot be corrected", "[prior-correction]") {
  const Predictions p{3, {1, 2, 3}, {0}};
  // A class that does not occur in the set is never predicted.
  const Predictions without = correct_prior(p, 1, Counts{5, 3, 0}, Counts{2, 2, 0});
  REQUIRE(without.logits[2] == -HUGE_VAL);
  REQUIRE(predicted_classes(without)[0] == 1);
  const auto message = [&](const Counts& source, const Counts& target, double absorbed = 1) {
    return error_of([&] { correct_prior(p, absorbed, source, target); });
  };
  REQUIRE(contains(message({5, 3, 0}, {2, 2, 2}), "class 2 occurs in the evaluated set"));
  REQUIRE(message({5, 3, 0}, {2, 2, 2}, 0).empty());
  REQUIRE(contains(message({5, 3}, {2, 2, 2}), "expected 3 training and 3 target counts"));
  REQUIRE(contains(message({5, 3, 1}, {0, 0, 0}), "all target counts are 0"));
  REQUIRE(contains(message({5, -3, 1}, {1, 0, 0}), "got -3 for class 1"));
}
