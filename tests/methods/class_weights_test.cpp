#include "methods/losses/class_weights.h"

#include <numeric>

#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/methods/golden.h"

namespace {

using Counts = std::vector<std::int64_t>;

// Everything is computed in double with a few roundings per class.
constexpr double tolerance = 1e-12;
// The golden numbers of effective_number come from 1 - beta^n, which cancels for beta near 1.
constexpr double golden_tolerance = 1e-9;

}  // namespace

TEST_CASE("class weights: effective number against the golden numbers") {
  const nlohmann::json cases = golden("class_weights_samplers.json")["effective_number"];
  REQUIRE(cases.size() > 0);
  for (const auto& entry : cases) {
    Counts counts;
    for (double n : numbers(entry["counts"])) counts.push_back(std::int64_t(n));
    const auto weights = ek::effective_number_weights(counts, entry["beta"].get<double>());
    REQUIRE(worst_error(weights, numbers(entry["weights"]), 1e-6) <= golden_tolerance);
  }
}

TEST_CASE("class weights: beta 0 is no weighting, beta towards 1 is inverse frequency") {
  const Counts counts{500, 200, 80, 30, 10};
  REQUIRE(worst_error(ek::effective_number_weights(counts, 0), {1, 1, 1, 1, 1}, 1) <= tolerance);
  // 1 - beta^n = n (1 - beta) up to n (1 - beta) / 2 relative, here 2.5e-10.
  REQUIRE(worst_error(ek::effective_number_weights(counts, 1 - 1e-12), ek::power_weights(counts, 1),
                      1e-6) <= 1e-9);
}

TEST_CASE("class weights: powers of the counts with mean 1") {
  const Counts counts{100, 25, 4};
  // 1/100 : 1/25 : 1/4 = 1 : 4 : 25, sum 30; roots 1 : 2 : 5, sum 8.
  REQUIRE(worst_error(ek::power_weights(counts, 1), {0.1, 0.4, 2.5}, 1e-6) <= tolerance);
  REQUIRE(worst_error(ek::power_weights(counts, 0.5), {0.375, 0.75, 1.875}, 1e-6) <= tolerance);
  REQUIRE(worst_error(ek::power_weights(counts, 0), {1, 1, 1}, 1e-6) <= tolerance);
  // A power whose plain value leaves the range of a double.
  const auto extreme = ek::power_weights({1000, 1000000}, 200);
  REQUIRE(worst_error(extreme, {2, 0}, 1) <= tolerance);
}

TEST_CASE("class weights: a class without images takes no part") {
  const auto check = [](const std::vector<double>& weights, const std::vector<double>& without) {
    REQUIRE(worst_error(weights, {without[0], 0, without[1]}, 1e-6) <= tolerance);
    REQUIRE(worst_error({std::accumulate(weights.begin(), weights.end(), 0.0)}, {2}, 1) <=
            tolerance);
  };
  check(ek::effective_number_weights({50, 0, 5}, 0.99),
        ek::effective_number_weights({50, 5}, 0.99));
  check(ek::power_weights({50, 0, 5}, 1), ek::power_weights({50, 5}, 1));
  const auto logs = ek::log_counts({50, 0, 5}, true);
  REQUIRE(worst_error(logs, {std::log(50.0 / 55), ek::log_of_absent, std::log(5.0 / 55)}, 1e-6) <=
          tolerance);
  REQUIRE(std::exp(float(logs[1])) == 0);
}

TEST_CASE("class weights: logs of counts and shares") {
  REQUIRE(worst_error(ek::log_counts({100, 20, 5}, false),
                      {std::log(100.0), std::log(20.0), std::log(5.0)}, 1e-6) <= tolerance);
  REQUIRE(worst_error(ek::log_counts({100, 20, 5}, true),
                      {std::log(0.8), std::log(0.16), std::log(0.04)}, 1e-6) <= tolerance);
}

TEST_CASE("class weights: what makes no sense is refused by name") {
  REQUIRE(error_of([] {
            ek::effective_number_weights({3, 2}, 1);
          }) == "effective_number_weights: beta expected in [0, 1), came 1");
  REQUIRE(error_of([] {
            ek::effective_number_weights({3, 2}, NAN);
          }) == "effective_number_weights: beta expected in [0, 1), came nan");
  REQUIRE(error_of([] {
            ek::power_weights({3, -2}, 1);
          }) == "power_weights: the count of class 1 expected >= 0, came -2");
  REQUIRE(error_of([] {
            ek::log_counts({0, 0}, false);
          }) ==
          "log_counts: expected at least one class with training images, came 2 classes without");
  REQUIRE(contains(error_of([] { ek::power_weights({}, 1); }), "came 0 classes"));
}
