#include "data/sampler.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <thread>

#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/paths.h"
#include "tests/temp_dir.h"

namespace ek {
namespace {

using Ints = std::vector<std::int64_t>;

// counts[c] items of class c, class after class.
Ints labels_of(const Ints& counts) {
  Ints labels;
  for (std::size_t c = 0; c < counts.size(); ++c) {
    labels.insert(labels.end(), std::size_t(counts[c]), std::int64_t(c));
  }
  return labels;
}

Ints draws(const Sampler& sampler, std::int64_t first, std::int64_t count) {
  Ints out;
  for (std::int64_t p = first; p < first + count; ++p) out.push_back(sampler.at(p));
  return out;
}

Ints sorted(Ints values) {
  std::sort(values.begin(), values.end());
  return values;
}

Ints range(std::int64_t count) {
  Ints values(static_cast<std::size_t>(count));
  std::iota(values.begin(), values.end(), std::int64_t(0));
  return values;
}

// Golden probabilities are float64 results of the same formulas: a few roundings apart.
constexpr double golden_tolerance = 1e-12;

void check_near(const std::vector<double>& got, const nlohmann::json& wanted) {
  REQUIRE(got.size() == wanted.size());
  for (std::size_t c = 0; c < got.size(); ++c) {
    CAPTURE(c, got[c]);
    CHECK(std::abs(got[c] - wanted[c].get<double>()) <= golden_tolerance);
  }
}

// Shares of the classes over many draws are within 5 standard deviations of the probabilities.
void check_shares(const Sampler& sampler, const Ints& labels, const std::vector<double>& wanted,
                  std::int64_t first = 0, std::int64_t count = 40000) {
  std::vector<double> share(wanted.size(), 0);
  for (const std::int64_t item : draws(sampler, first, count)) {
    share[std::size_t(labels[std::size_t(item)])] += 1.0 / double(count);
  }
  for (std::size_t c = 0; c < wanted.size(); ++c) {
    const double deviation = std::sqrt(wanted[c] * (1 - wanted[c]) / double(count));
    CAPTURE(c, share[c], wanted[c]);
    CHECK(std::abs(share[c] - wanted[c]) <= 5 * deviation);
  }
}

}  // namespace

TEST_CASE("class probabilities are those of the papers") {
  const auto golden = nlohmann::json::parse(
      std::ifstream(source_dir() + "/tests/golden/class_weights_samplers.json"));
  REQUIRE(golden["samplers"].size() > 0);
  for (const auto& row : golden["samplers"]) {
    Ints counts;
    for (const auto& n : row["counts"]) counts.push_back(std::int64_t(n.get<double>()));
    check_near(power_probabilities(counts, 1), row["instance"]);
    check_near(power_probabilities(counts, 0.5), row["square_root"]);
    check_near(power_probabilities(counts, 0), row["class_balanced"]);
    check_near(reversed_probabilities(counts), row["reversed"]);
    check_near(effective_number_probabilities(counts), row["effective_number_b9999"]);
    for (const auto& [epoch, wanted] : row["progressive_T10_code"].items()) {
      check_near(progressive_probabilities(counts, std::stod(epoch) / 9), wanted);
    }
    for (const auto& [epoch, wanted] : row["progressive_T10_paper"].items()) {
      check_near(progressive_probabilities(counts, std::stod(epoch) / 10), wanted);
    }
  }
}

TEST_CASE("shuffled: every item once an epoch, another order each epoch, any entry") {
  const auto sampler = shuffled_sampler(50, 3);
  CHECK(sampler->epoch_length() == 50);
  const Ints first = draws(*sampler, 0, 50), second = draws(*sampler, 50, 50);
  CHECK(sorted(first) == range(50));
  CHECK(sorted(second) == range(50));
  CHECK(first != second);
  CHECK(first != range(50));
  CHECK(draws(*shuffled_sampler(50, 4), 0, 50) != first);
  CHECK(draws(*shuffled_sampler(50, 3, Purpose::meta_shuffle), 0, 50) != first);
  // Entered in the middle, and backwards through several epochs.
  CHECK(draws(*shuffled_sampler(50, 3), 60, 40) == Ints(second.begin() + 10, second.end()));
  const Ints forward = draws(*sampler, 0, 200);
  const auto other = shuffled_sampler(50, 3);
  for (std::int64_t p = 199; p >= 0; --p) REQUIRE(other->at(p) == forward[std::size_t(p)]);
}

TEST_CASE("shuffled: each place of the permutation is uniform") {
  // Item 0's place over many epochs: chi-squared with 9 degrees of freedom, 99.9 % below 27.88.
  constexpr double chi_squared_limit = 27.88;
  const auto sampler = shuffled_sampler(10, 0);
  std::vector<double> seen(10, 0);
  constexpr int epochs = 5000;
  for (std::int64_t p = 0; p < epochs * 10; ++p) {
    if (sampler->at(p) == 0) ++seen[std::size_t(p % 10)];
  }
  double statistic = 0;
  for (const double n : seen) statistic += (n - epochs / 10.0) * (n - epochs / 10.0);
  statistic /= epochs / 10.0;
  CHECK(statistic <= chi_squared_limit);
}

TEST_CASE("class-balanced: cycles of classes, runs of items, each class its own cycle") {
  const Ints counts{40, 7, 3}, labels = labels_of(counts);
  constexpr std::int64_t run = 4;
  const auto sampler = class_balanced_sampler(labels, 3, 5, run);
  CHECK(sampler->epoch_length() == 120);
  const Ints drawn = draws(*sampler, 0, 1200);
  std::map<std::int64_t, Ints> items;
  bool orders_differ = false;
  for (std::size_t cycle = 0; cycle < drawn.size() / (3 * run); ++cycle) {
    Ints classes;
    for (std::size_t turn = 0; turn < 3; ++turn) {
      const std::size_t first = (cycle * 3 + turn) * run;
      const std::int64_t c = labels[std::size_t(drawn[first])];
      classes.push_back(c);
      for (std::size_t k = 0; k < run; ++k) {
        REQUIRE(labels[std::size_t(drawn[first + k])] == c);
        items[c].push_back(drawn[first + k]);
      }
    }
    REQUIRE(sorted(classes) == Ints{0, 1, 2});
    orders_differ = orders_differ || classes != Ints{0, 1, 2};
  }
  CHECK(orders_differ);
  // 400 draws of each class, one whole pass over its items after the other.
  for (std::int64_t c = 0, first_item = 0; c < 3; first_item += counts[std::size_t(c++)]) {
    const std::int64_t n = counts[std::size_t(c)];
    REQUIRE(std::int64_t(items[c].size()) == 400);
    Ints wanted = range(n);
    for (std::int64_t& item : wanted) item += first_item;
    bool reshuffled = false;
    for (std::int64_t pass = 0; (pass + 1) * n <= 400; ++pass) {
      const Ints one(items[c].begin() + pass * n, items[c].begin() + (pass + 1) * n);
      REQUIRE(sorted(one) == wanted);
      reshuffled = reshuffled || (pass > 0 && one != Ints(items[c].begin(), items[c].begin() + n));
    }
    CHECK(reshuffled);
  }
  // Any entry, also backwards.
  const auto other = class_balanced_sampler(labels, 3, 5, run);
  for (std::int64_t p = 1199; p >= 0; p -= 7) REQUIRE(other->at(p) == drawn[std::size_t(p)]);
}

TEST_CASE("class-balanced leaves absent classes out") {
  const Ints labels{2, 2, 0};
  const auto sampler = class_balanced_sampler(labels, 4, 0, 1);
  CHECK(sampler->epoch_length() == 4);
  for (std::int64_t p = 0; p < 20; p += 2) {
    CHECK(sorted({labels[std::size_t(sampler->at(p))], labels[std::size_t(sampler->at(p + 1))]}) ==
          Ints{0, 2});
  }
}

TEST_CASE("draws by class probability have these probabilities, uniform inside a class") {
  const Ints counts{100, 20, 0, 5}, labels = labels_of(counts);
  for (const auto& p : {power_probabilities(counts, 0.5), reversed_probabilities(counts),
                        effective_number_probabilities(counts)}) {
    CHECK(p[2] == 0);
    const auto sampler = class_probability_sampler(labels, p, 11);
    CHECK(sampler->epoch_length() == 125);
    check_shares(*sampler, labels, p);
  }
  const auto sampler = class_probability_sampler(labels, {1, 0, 0, 0}, 2);
  std::vector<double> uniform(100, 0.01);
  check_shares(*sampler, range(100), uniform);
  CHECK(draws(*sampler, 0, 50) != draws(*sampler, 125, 50));
}

TEST_CASE("progressive moves from instances to classes and stays") {
  const Ints counts{100, 20, 5}, labels = labels_of(counts);
  constexpr std::int64_t epochs = 3, n = 125;
  // Draws of one epoch over many seeds.
  for (const auto& [epoch, share] : {std::pair{0, 0.0}, {1, 0.5}, {2, 1.0}, {7, 1.0}}) {
    const auto wanted = progressive_probabilities(counts, share);
    std::vector<double> seen(3, 0);
    constexpr int seeds = 200;
    for (int seed = 0; seed < seeds; ++seed) {
      const auto sampler = progressive_sampler(labels, 3, epochs, std::uint64_t(seed));
      for (const std::int64_t item : draws(*sampler, epoch * n, n)) {
        seen[std::size_t(labels[std::size_t(item)])] += 1.0 / (seeds * n);
      }
    }
    for (std::size_t c = 0; c < 3; ++c) {
      const double deviation = std::sqrt(wanted[c] * (1 - wanted[c]) / (seeds * n));
      CAPTURE(epoch, c, seen[c], wanted[c]);
      CHECK(std::abs(seen[c] - wanted[c]) <= 5 * deviation);
    }
  }
}

TEST_CASE("samplers by name") {
  const Ints labels = labels_of({6, 3, 1});
  for (const std::string& name : sampler_names()) {
    CAPTURE(name);
    const auto sampler = make_sampler(name, labels, 3, 1);
    for (const std::int64_t item : draws(*sampler, 0, 100)) {
      REQUIRE(item >= 0);
      REQUIRE(item < 10);
    }
  }
  CHECK(contains(error_of([&] { make_sampler("random", labels, 3, 1); }), "square-root"));
}

TEST_CASE("samplers refuse what cannot be sampled") {
  const Ints labels{0, 1};
  CHECK(contains(error_of([] { shuffled_sampler(0, 0); }), "expected a subset with items"));
  CHECK(contains(error_of([&] { class_balanced_sampler({}, 2, 0); }),
                 "expected a subset with items"));
  CHECK(contains(error_of([&] { class_balanced_sampler(labels, 1, 0); }), "label below 1"));
  CHECK(contains(error_of([&] { class_balanced_sampler(labels, 2, 0, 0); }), "consecutive"));
  CHECK(contains(error_of([&] { class_probability_sampler(labels, {1, 1, 1}, 0); }), "class 2"));
  CHECK(contains(error_of([&] { class_probability_sampler(labels, {1, -1}, 0); }), "class 1"));
  CHECK(contains(error_of([&] { class_probability_sampler(labels, {1, NAN}, 0); }), "class 1"));
  CHECK(contains(error_of([&] { class_probability_sampler(labels, {0, 0}, 0); }), "positive sum"));
  CHECK(contains(error_of([] { effective_number_probabilities(Ints{3}, 1); }), "beta"));
}

TEST_CASE("samplers may be asked from several threads") {
  const Ints labels = labels_of({30, 5});
  for (const char* name : {"shuffled", "class-balanced"}) {
    const Ints wanted = draws(*make_sampler(name, labels, 2, 9), 0, 2000);
    const auto shared = make_sampler(name, labels, 2, 9);
    std::vector<Ints> got(3);
    std::vector<std::thread> threads;
    for (Ints& mine : got) {
      threads.emplace_back([&mine, &shared] { mine = draws(*shared, 0, 2000); });
    }
    for (auto& thread : threads) thread.join();
    for (const Ints& mine : got) CHECK(mine == wanted);
  }
}

}  // namespace ek
