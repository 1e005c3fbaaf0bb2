#include "data/images/synthetic.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/temp_dir.h"

namespace ek {
namespace {

constexpr SyntheticSize small{.train_per_class = 6, .test_per_class = 4};

std::vector<std::uint8_t> bytes_of(std::span<const std::uint8_t> image) {
  return {image.begin(), image.end()};
}

}  // namespace

TEST_CASE("synthetic shapes: sizes, labels, difficulty") {
  const DataSource source = load_source("synthetic:shapes");
  CHECK(source.name == "synthetic:shapes");
  CHECK(source.format == DataSource::Format::synthetic);
  CHECK(source.num_classes() == 10);
  CHECK(source.train.height == 32);
  CHECK(source.train.width == 32);
  CHECK(source.train.pixels.size() == std::size_t(5000 * 32 * 32 * 3));
  CHECK(count_labels(source.train.labels, 10) == std::vector<std::int64_t>(10, 500));
  CHECK(count_labels(source.test.labels, 10) == std::vector<std::int64_t>(10, 100));
  const std::set<std::string> names(source.class_names.begin(), source.class_names.end());
  CHECK(names.size() == 10);
  REQUIRE(source.difficulty.size() == 10);
  const auto [least, most] =
      std::minmax_element(source.difficulty.begin(), source.difficulty.end());
  CHECK(*least >= 0);
  CHECK(*most <= 1);
  // Hard among the frequent, easy among the rare.
  CHECK(source.difficulty[0] >= 0.7);
  CHECK(source.difficulty[9] <= 0.1);
}

TEST_CASE("synthetic shapes follow the seed, the part and the record alone") {
  const DataSource a = make_synthetic("shapes", 5, small), b = make_synthetic("shapes", 5, small);
  CHECK(a.train.pixels == b.train.pixels);
  CHECK(a.test.pixels == b.test.pixels);
  const DataSource other = make_synthetic("shapes", 6, small);
  CHECK(a.train.pixels != other.train.pixels);
  CHECK(bytes_of(a.train.image(0)) != bytes_of(a.test.image(0)));
  // More images do not change those before; no two are equal.
  const DataSource more = make_synthetic("shapes", 5, {.train_per_class = 9, .test_per_class = 4});
  CHECK(std::equal(a.train.pixels.begin(), a.train.pixels.end(), more.train.pixels.begin()));
  std::set<std::vector<std::uint8_t>> distinct;
  for (std::int64_t i = 0; i < 90; ++i) distinct.insert(bytes_of(more.train.image(i)));
  CHECK(distinct.size() == 90);
  const int before = omp_get_max_threads();
  omp_set_num_threads(before == 1 ? 3 : 1);
  CHECK(make_synthetic("shapes", 5, small).train.pixels == a.train.pixels);
  omp_set_num_threads(before);
}

TEST_CASE("hard classes are noisier than easy ones") {
  // Steps to the right and downwards, the smaller of the two; the median over the pixels is that of
  // the noise, since edges are few.
  const DataSource source = make_synthetic("shapes", 0, {.train_per_class = 40});
  std::vector<std::vector<int>> steps(10);
  for (std::int64_t i = 0; i < source.train.count(); ++i) {
    const auto image = source.train.image(i);
    for (std::size_t y = 0; y + 1 < 32; ++y) {
      for (std::size_t x = 0; x + 1 < 32; ++x) {
        const int here = image[(y * 32 + x) * 3], right = image[(y * 32 + x + 1) * 3];
        const int below = image[((y + 1) * 32 + x) * 3];
        steps[std::size_t(i % 10)].push_back(
            std::min(std::abs(right - here), std::abs(below - here)));
      }
    }
  }
  for (auto& s : steps) std::nth_element(s.begin(), s.begin() + s.size() / 2, s.end());
  for (std::size_t a = 0; a < 10; ++a) {
    for (std::size_t b = 0; b < 10; ++b) {
      if (source.difficulty[a] < source.difficulty[b] + 0.3) continue;
      const int hard = steps[a][steps[a].size() / 2], easy = steps[b][steps[b].size() / 2];
      CAPTURE(a, b, hard, easy);
      CHECK(hard > easy);
    }
  }
}

TEST_CASE("synthetic data that does not exist") {
  CHECK(contains(error_of([] { make_synthetic("cats"); }), "expected one of shapes, got cats"));
  CHECK(contains(error_of([] { make_synthetic("shapes", 0, {.train_per_class = 0}); }),
                 "at least one image per class"));
}

}  // namespace ek
