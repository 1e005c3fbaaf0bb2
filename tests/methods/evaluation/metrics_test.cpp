// Metrics against the golden values and against what holds for any input (docs/evaluation.md).
#include "methods/evaluation/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/tensor/random.h"
#include "methods/evaluation/calibration.h"
#include "methods/evaluation/probabilities.h"
#include "methods/evaluation/recall.h"
#include "methods/evaluation/shift.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/methods/golden.h"

using namespace ek;

namespace {

// The golden files carry 12 significant digits.
constexpr double golden_tolerance = 1e-11;
// Sums of some hundred numbers near 1, in another order than the library's.
constexpr double rounding = 1e-12;

nlohmann::json metrics_case(const std::string& name) {
  const auto file = golden("experts_metrics.json");
  for (const auto& entry : file["cases"]) {
    if (entry["name"] == name) return entry;
  }
  throw std::runtime_error("no golden case " + name);
}

// Logits whose largest entry is the given class.
Predictions from_classes(const std::vector<std::int64_t>& labels,
                         const std::vector<std::int64_t>& predicted, std::int64_t classes) {
  Predictions out{classes, std::vector<double>(labels.size() * std::size_t(classes), 0), labels};
  for (std::size_t i = 0; i < predicted.size(); ++i) {
    out.logits[i * std::size_t(classes) + std::size_t(predicted[i])] = 3;
  }
  return out;
}

// `per_class` images of each class, logits normal with the label's raised by `lift`.
Predictions random_predictions(std::int64_t classes, std::int64_t per_class, double lift,
                               std::uint64_t seed = 1) {
  const RandomStream random(seed, Purpose::test);
  Predictions out;
  out.num_classes = classes;
  for (std::int64_t i = 0; i < classes * per_class; ++i) {
    out.labels.push_back(i % classes);
    for (std::int64_t c = 0; c < classes; ++c) {
      const double raise = c == i % classes ? lift : 0;
      out.logits.push_back(random.normal(std::uint64_t(i * classes + c)) + raise);
    }
  }
  return out;
}

const std::vector<std::int64_t> ten_counts{500, 300, 180, 110, 65, 40, 24, 14, 8, 5};

std::vector<double> all_numbers(const Metrics& m) {
  std::vector<double> out{m.overall,
                          m.mean_recall,
                          m.geometric_mean,
                          m.harmonic_mean,
                          m.lowest_recall,
                          m.geometric_mean_exact,
                          m.harmonic_mean_exact,
                          m.ece,
                          m.mce,
                          m.average_confidence,
                          m.nll,
                          m.brier,
                          *m.many,
                          *m.medium,
                          *m.few};
  for (const auto& recall : m.per_class_recall) out.push_back(recall.value());
  return out;
}

}  // namespace

TEST_CASE("golden classification metrics", "[metrics]") {
  const auto entry = metrics_case("classification_metrics");
  const auto& expected = entry["expected"];
  const auto labels = entry["inputs"]["labels"].get<std::vector<std::int64_t>>();
  const auto predicted = entry["inputs"]["predictions"].get<std::vector<std::int64_t>>();
  const Predictions predictions = from_classes(labels, predicted, 4);
  REQUIRE(predicted_classes(predictions) == predicted);
  const auto confusion = confusion_matrix(labels, predicted, 4);
  REQUIRE(std::vector<double>(confusion.begin(), confusion.end()) ==
          numbers(expected["confusion_true_by_pred"]));

  const Metrics m = compute_metrics(predictions, entry["inputs"]["train_counts"]);
  std::vector<double> recalls;
  for (const auto& recall : m.per_class_recall) recalls.push_back(recall.value());
  REQUIRE(worst_error(recalls, numbers(expected["recall"]), 1) <= golden_tolerance);
  const std::vector<double> got{m.overall,        m.mean_recall,          m.many.value(),
                                m.medium.value(), m.few.value(),          m.geometric_mean,
                                m.harmonic_mean,  m.geometric_mean_exact, m.harmonic_mean_exact,
                                m.lowest_recall};
  const auto& groups = expected["groups"];
  const std::vector<double> want{expected["overall"],     expected["arithmetic_mean"],
                                 groups["many"],          groups["medium"],
                                 groups["few"],           expected["gmean_eps"],
                                 expected["hmean_eps"],   expected["gmean_exact"],
                                 expected["hmean_exact"], expected["lowest_recall"]};
  REQUIRE(worst_error(got, want, 1) <= golden_tolerance);
  REQUIRE(m.zero_recall_classes == 1);
  REQUIRE(m.rows == 20);
}

TEST_CASE("golden calibration with 10, 15 and 20 bins", "[metrics]") {
  const auto entry = metrics_case("calibration");
  auto confidence = entry["inputs"]["confidence"].get<std::vector<double>>();
  // The file's 12 digits lift 2/3, which is an edge of 15 bins, over that edge: the exact value is
  // what the expected numbers were made of.
  const double two_thirds = 2.0 / 3;
  REQUIRE(std::abs(confidence.back() - two_thirds) <= 1e-12);
  confidence.back() = two_thirds;
  std::vector<std::uint8_t> correct;
  for (double c : numbers(entry["inputs"]["correct"])) correct.push_back(c == 1);
  for (int bins : {10, 15, 20}) {
    const auto& expected = entry["expected"]["bins_" + std::to_string(bins)];
    const Calibration got = calibrate(confidence, correct, bins);
    std::vector<double> counts, accuracies, confidences;
    for (const CalibrationBin& bin : got.bins) {
      counts.push_back(double(bin.count));
      accuracies.push_back(bin.accuracy);
      confidences.push_back(bin.confidence);
    }
    INFO("bins " << bins);
    REQUIRE(counts == numbers(expected["bin_count"]));
    REQUIRE(worst_error(accuracies, numbers(expected["bin_accuracy"]), 1) <= golden_tolerance);
    REQUIRE(worst_error(confidences, numbers(expected["bin_confidence"]), 1) <= golden_tolerance);
    REQUIRE(worst_error({got.ece, got.mce}, {expected["ece"], expected["mce_nonempty"]}, 1) <=
            golden_tolerance);
  }
}

TEST_CASE("golden ECE of the data protocol", "[metrics]") {
  const auto entry = golden("data_protocol.json")["ece15"];
  std::vector<std::uint8_t> correct;
  for (double c : numbers(entry["correct"])) correct.push_back(c == 1);
  const double ece = calibrate(numbers(entry["confidence"]), correct, entry["bins"]).ece;
  REQUIRE(worst_error({ece}, {entry["ece"]}, 1) <= golden_tolerance);
}

TEST_CASE("a confidence on an edge belongs to the bin below", "[metrics]") {
  REQUIRE(calibration_bin(2.0 / 3, 15) == 9);
  REQUIRE(calibration_bin(1, 15) == 14);
  REQUIRE(calibration_bin(std::numeric_limits<double>::denorm_min(), 15) == 0);
  for (int bins : {1, 2, 7, 10, 15, 20, 49, 100}) {
    for (int b = 0; b < bins; ++b) {
      const double edge = double(b + 1) / bins;
      INFO("bins " << bins << ", edge " << b);
      REQUIRE(calibration_bin(edge, bins) == b);
      if (b + 1 < bins) REQUIRE(calibration_bin(std::nextafter(edge, 2), bins) == b + 1);
    }
  }
  REQUIRE(contains(error_of([] { calibration_bin(0, 15); }), "expected a confidence in (0, 1]"));
  REQUIRE(contains(error_of([] { calibration_bin(NAN, 15); }), "got nan"));
}

TEST_CASE("the groups of CIFAR-100-LT", "[metrics]") {
  const auto expected = metrics_case("cifar100lt_if100_groups")["expected"];
  const auto counts = expected["counts"].get<std::vector<std::int64_t>>();
  // Recall 1 in exactly one group at a time shows who is in it.
  const auto sizes = [&](auto&& member) {
    std::vector<std::int64_t> labels(100), predicted(100);
    std::iota(labels.begin(), labels.end(), 0);
    for (std::size_t c = 0; c < 100; ++c) {
      predicted[c] = member(counts[c]) ? std::int64_t(c) : std::int64_t(c + 1) % 100;
    }
    return compute_metrics(from_classes(labels, predicted, 100), counts);
  };
  const Metrics many = sizes([](std::int64_t n) { return n > 100; });
  REQUIRE(many.many == 1.0);
  REQUIRE(many.medium == 0.0);
  REQUIRE(many.few == 0.0);
  REQUIRE(std::lround(many.overall * 100) == expected["many"]);
  const Metrics few = sizes([](std::int64_t n) { return n < 20; });
  REQUIRE(few.few == 1.0);
  REQUIRE(few.medium == 0.0);
  REQUIRE(std::lround(few.overall * 100) == expected["few"]);
}

TEST_CASE("groups are made of training counts at 100 and 20", "[metrics]") {
  const Predictions p = from_classes({0, 1, 2, 3}, {0, 1, 0, 0}, 4);
  const Metrics m = compute_metrics(p, {101, 100, 20, 19});
  REQUIRE(m.many == 1.0);
  REQUIRE(m.medium == 0.5);
  REQUIRE(m.few == 0.0);
  const Metrics no_few = compute_metrics(p, {200, 200, 50, 50});
  REQUIRE_FALSE(no_few.few.has_value());
  REQUIRE(to_json(no_few)["few"].is_null());
  const Metrics unknown = compute_metrics(p, {});
  REQUIRE_FALSE(unknown.many.has_value());
  REQUIRE(unknown.overall == 0.5);
}

TEST_CASE("a class without test images is left out of all means", "[metrics]") {
  const Metrics m = compute_metrics(from_classes({0, 0, 2, 2}, {0, 1, 2, 2}, 3), {150, 150, 150});
  REQUIRE_FALSE(m.per_class_recall[1].has_value());
  REQUIRE(m.mean_recall == 0.75);
  REQUIRE(m.many == 0.75);
  REQUIRE(m.lowest_recall == 0.5);
  REQUIRE(m.zero_recall_classes == 0);
  REQUIRE(std::abs(m.geometric_mean - std::sqrt(0.5)) <= rounding);
}

TEST_CASE("group means weighted by their sizes give the mean recall", "[metrics]") {
  const Metrics m = compute_metrics(random_predictions(10, 20, 1.5), ten_counts);
  REQUIRE(std::abs((4 * *m.many + 3 * *m.medium + 3 * *m.few) / 10 - m.mean_recall) <= rounding);
  REQUIRE(std::abs(m.overall - m.mean_recall) <= rounding);  // balanced
}

TEST_CASE("lowest <= harmonic <= geometric <= arithmetic", "[metrics]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Metrics m = compute_metrics(random_predictions(5, 4, 1, seed), {});
    INFO("seed " << seed);
    // With the zero rule the lowest recall itself may be 0 where the means take 1e-3.
    REQUIRE(m.harmonic_mean_exact <= m.geometric_mean_exact + rounding);
    REQUIRE(m.geometric_mean_exact <= m.mean_recall + rounding);
    REQUIRE(m.lowest_recall <= m.harmonic_mean_exact + rounding);
    REQUIRE(m.harmonic_mean <= m.geometric_mean + rounding);
    if (m.zero_recall_classes == 0) REQUIRE(m.geometric_mean == m.geometric_mean_exact);
    if (m.zero_recall_classes > 0) REQUIRE(m.geometric_mean_exact == 0);
  }
}

TEST_CASE("the order of the rows changes no bit", "[metrics]") {
  const Predictions p = random_predictions(10, 13, 1);
  const auto order = RandomStream(3, Purpose::test).permutation(p.rows());
  REQUIRE(all_numbers(compute_metrics(select_rows(p, order), ten_counts)) ==
          all_numbers(compute_metrics(p, ten_counts)));
}

TEST_CASE("a constant added to all logits changes nothing", "[metrics]") {
  Predictions p = random_predictions(10, 13, 1), shifted = p;
  for (double& logit : shifted.logits) logit += 17;
  REQUIRE(predicted_classes(p) == predicted_classes(shifted));
  REQUIRE(worst_error(all_numbers(compute_metrics(shifted, ten_counts)),
                      all_numbers(compute_metrics(p, ten_counts)), 1) <= rounding);
}

TEST_CASE("ECE with one bin is the gap of accuracy and confidence", "[metrics]") {
  const Metrics m =
      compute_metrics(random_predictions(10, 13, 1), ten_counts, EvaluationOptions{.bins = 1});
  REQUIRE(std::abs(m.ece - std::abs(m.overall - m.average_confidence)) <= rounding);
  REQUIRE(m.ece > 0.01);
}

TEST_CASE("NLL and Brier score of known probabilities", "[metrics]") {
  const Predictions p{2, {std::log(0.8), std::log(0.2), 0, -1000}, {0, 1}};
  const Metrics m = compute_metrics(p, {});
  REQUIRE(std::abs(m.nll - (-std::log(0.8) - std::log(1e-15)) / 2) <= rounding);
  REQUIRE(std::abs(m.brier - (0.08 + 2) / 2) <= rounding);
  const auto prob = probabilities(p);
  REQUIRE(worst_error(prob, {0.8, 0.2, 1, 0}, 1) <= rounding);
}

TEST_CASE("ties go to the smaller class", "[metrics]") {
  REQUIRE(predicted_classes({3, {1, 2, 2, 5, 5, 5}, {0, 0}}) == std::vector<std::int64_t>{1, 0});
}

TEST_CASE("unusable predictions are errors that name the row", "[metrics]") {
  const double inf = std::numeric_limits<double>::infinity();
  const auto message = [](const Predictions& p, std::vector<std::int64_t> counts = {}) {
    return error_of([&] { compute_metrics(p, counts); });
  };
  REQUIRE(contains(message({2, {0, 1, NAN, 0}, {0, 1}}), "row 1: the logit of class 0 is NaN"));
  REQUIRE(contains(message({2, {0, inf}, {0}}), "row 0: expected a finite largest logit"));
  REQUIRE(contains(message({2, {-inf, -inf}, {0}}), "row 0: expected a finite largest logit"));
  REQUIRE(message({2, {0, -inf}, {0}}).empty());
  REQUIRE(contains(message({2, {0, 1}, {2}}), "row 0: expected a label in [0, 2), got 2"));
  REQUIRE(contains(message({2, {0, 1, 2}, {0}}), "expected 2 logits"));
  REQUIRE(contains(message({2, {}, {}}), "expected at least 1 row"));
  REQUIRE(contains(message({2, {0, 1}, {0}}, {1, 2, 3}), "expected 2 training counts"));
}
