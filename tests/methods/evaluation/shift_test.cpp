// Shifted test sets against the golden values.
#include "methods/evaluation/shift.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>

#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/methods/golden.h"

using namespace ek;

namespace {

using Counts = std::vector<std::int64_t>;
using Kind = ShiftSpec::Kind;

std::int64_t total(const Counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::int64_t(0));
}

// Any counts that fall strictly with the class index.
Counts falling(std::int64_t classes) {
  Counts out;
  for (std::int64_t c = 0; c < classes; ++c) out.push_back(2 * classes - c);
  return out;
}

// Labels 0 ... classes - 1, over and over.
Counts interleaved(std::int64_t classes, std::int64_t per_class) {
  Counts labels;
  for (std::int64_t i = 0; i < classes * per_class; ++i) labels.push_back(i % classes);
  return labels;
}

}  // namespace

TEST_CASE("golden shifted sets of five classes", "[shift]") {
  int checked = 0;
  const auto file = golden("experts_shift_pc.json");
  for (const auto& entry : file["cases"]) {
    std::string name = entry["name"];
    if (!entry["expected"].contains("kept_per_class")) continue;
    name[name.find('-')] = ':';
    const Counts counts = entry["inputs"]["train_counts"];
    const Counts expected = entry["expected"]["kept_per_class"];
    const ShiftSpec spec = parse_shift(name);
    INFO(name);
    REQUIRE(spec.str() == name);
    REQUIRE(kept_per_class(counts, entry["inputs"]["test_per_class"], spec) == expected);
    const ShiftedSet set = shifted_set(interleaved(5, 50), counts, spec);
    REQUIRE(set.kept == expected);
    REQUIRE(std::int64_t(set.rows.size()) == total(expected));
    std::vector<double> prior;
    for (std::int64_t m : set.kept) prior.push_back(double(m) / double(set.rows.size()));
    REQUIRE(worst_error(prior, numbers(entry["expected"]["target_prior"]), 1) <= 1e-11);
    ++checked;
  }
  REQUIRE(checked == 10);
}

TEST_CASE("golden totals of ImageNet-LT and CIFAR-100-LT", "[shift]") {
  const auto file = golden("data_protocol.json");
  int checked = 0;
  for (const auto& [key, classes, per_class] : {std::tuple("test_shift_imagenet_lt", 1000, 50),
                                                std::tuple("test_shift_cifar100_lt", 100, 100)}) {
    for (const auto& entry : file[key]) {
      if (entry["convention"] != "released") continue;  // the formula that was printed differs
      const Kind kind = entry["type"] == "forward" ? Kind::forward : Kind::backward;
      const Counts kept =
          kept_per_class(falling(classes), per_class, {kind, entry["ratio"].get<double>()});
      INFO(key << " " << entry.dump());
      REQUIRE(total(kept) == entry["total"]);
      REQUIRE(Counts(kept.begin(), kept.begin() + 5) == entry["first5"].get<Counts>());
      REQUIRE(Counts(kept.end() - 5, kept.end()) == entry["last5"].get<Counts>());
      ++checked;
    }
  }
  REQUIRE(checked == 20);
}

TEST_CASE("ties of the training count rank by class index", "[shift]") {
  const Counts kept = kept_per_class(Counts{7, 9, 7, 9}, 8, {Kind::forward, 8});
  REQUIRE(kept == Counts{2, 8, 1, 4});
  REQUIRE(kept_per_class(Counts{7, 9, 7, 9}, 8, {Kind::backward, 8}) == Counts{4, 1, 8, 2});
}

TEST_CASE("exact integers survive the rounding of the power", "[shift]") {
  // 3^4 * 81^(-k/4) = 3^(4-k) and its like: some come out of pow a rounding below the integer.
  for (std::int64_t base : {2, 3, 5}) {
    for (std::int64_t classes = 3; classes <= 7; ++classes) {
      Counts powers{1};
      while (std::int64_t(powers.size()) < classes) {
        powers.insert(powers.begin(), powers.front() * base);
      }
      INFO("base " << base << ", classes " << classes);
      REQUIRE(kept_per_class(falling(classes), powers.front(),
                             {Kind::forward, double(powers.front())}) == powers);
    }
  }
}

TEST_CASE("forward and backward are mirror images of equal size", "[shift]") {
  const Counts counts = falling(37);
  for (double ratio : {50, 25, 10, 5, 2}) {
    Counts forward = kept_per_class(counts, 100, {Kind::forward, ratio});
    Counts backward = kept_per_class(counts, 100, {Kind::backward, ratio});
    REQUIRE(forward.front() == 100);
    REQUIRE(forward.back() == std::int64_t(100 / ratio));
    std::reverse(backward.begin(), backward.end());
    REQUIRE(forward == backward);
  }
}

TEST_CASE("the first images of each class are kept, in test order", "[shift]") {
  const Counts labels{1, 0, 0, 1, 0, 1, 1, 0};
  const ShiftedSet set = shifted_set(labels, Counts{10, 5}, {Kind::forward, 2});
  REQUIRE(set.kept == Counts{4, 2});
  REQUIRE(set.rows == Counts{0, 1, 2, 3, 4, 7});
}

TEST_CASE("uniform is the test set itself, balanced or not", "[shift]") {
  const ShiftedSet set = shifted_set(Counts{1, 0, 1, 2, 1}, Counts{3, 2, 1}, {});
  REQUIRE(set.rows == Counts{0, 1, 2, 3, 4});
  REQUIRE(set.kept == Counts{1, 3, 1});
}

TEST_CASE("classes without test images take no rank", "[shift]") {
  // Classes 0, 2 and 4 of five, as a folder with a part of the classes has them.
  const Counts labels{0, 2, 4, 0, 2, 4, 0, 2, 4, 0, 2, 4};
  const ShiftedSet set = shifted_set(labels, Counts{9, 0, 5, 0, 3}, {Kind::forward, 4});
  REQUIRE(set.kept == Counts{4, 0, 2, 0, 1});
}

TEST_CASE("the eleven standard sets", "[shift]") {
  const auto all = standard_shifts();
  REQUIRE(all.size() == 11);
  REQUIRE(all.front().str() == "forward:50");
  REQUIRE(all[5].str() == "uniform");
  REQUIRE(all.back().str() == "backward:50");
  for (const ShiftSpec& spec : all) REQUIRE(parse_shift(spec.str()) == spec);
}

TEST_CASE("shifts that make no sense are refused", "[shift]") {
  for (const char* text : {"", "forward", "forward:", "forward:0.5", "forward:nan", "forward:inf",
                           "sideways:5", "uniform:5", "backward:5x", "forward:-2"}) {
    INFO(text);
    REQUIRE(contains(error_of([&] { parse_shift(text); }), "shift: expected uniform, forward:R"));
  }
  const auto message = [](const Counts& labels, const ShiftSpec& spec) {
    return error_of([&] { shifted_set(labels, Counts{5, 3}, spec); });
  };
  REQUIRE(contains(message({0, 0, 1}, {Kind::forward, 2}), "expected a balanced test set"));
  REQUIRE(contains(message({0, 1}, {Kind::forward, 2}), "got 0 of class 1"));
  REQUIRE(
      contains(message({0, 2}, {Kind::forward, 1}), "row 1: expected a label in [0, 2), got 2"));
}

TEST_CASE("top-1 of selected rows", "[shift]") {
  const Predictions p{2, {1, 0, 1, 0, 0, 1}, {0, 1, 1}};
  REQUIRE(std::abs(top1(p) - 2.0 / 3) <= 1e-15);
  const Predictions part = select_rows(p, Counts{2, 0});
  REQUIRE(part.labels == Counts{1, 0});
  REQUIRE(part.logits == std::vector<double>{0, 1, 1, 0});
  REQUIRE(top1(part) == 1);
  REQUIRE(contains(error_of([&] { select_rows(p, Counts{3}); }), "expected rows below 3, got 3"));
}
