// Choices by measuring on the host executor: whose times they are does not matter here, but what is
// measured, chosen and launched afterwards.
#include "engine/tuning/autotune.h"

#include <algorithm>

#include "engine/graph/launch_trace.h"
#include "engine/ops.h"
#include "kernels/base/versions.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/simt_device.h"

using namespace ek;

namespace {

Tensor matrix(std::int64_t rows, std::int64_t columns) {
  return Tensor::full({rows, columns}, 0.5, DType::float32, simt);
}

// A product that the rule gives to tiles, twice, and one with few elements.
void step() {
  ops::matmul(matrix(40, 24), matrix(24, 40));
  ops::matmul(matrix(40, 24), matrix(24, 40));
  ops::matmul(matrix(2, 3), matrix(3, 2));
}

std::vector<std::string> launched_products() {
  const LaunchTrace trace;
  step();
  std::vector<std::string> names;
  for (const auto& launch : trace.launches()) {
    if (launch.kernel.starts_with("gemm")) names.push_back(launch.kernel);
  }
  return names;
}

}  // namespace

TEST_CASE("autotune measures each call once and keeps what is known", "[simt]") {
  if (!has_simt()) return;
  std::string line;
  const auto news = [&](const std::string& text) { line = text; };
  const Tuning tuning = autotune(simt, step, news);
  CHECK(contains(line, "autotune: 2 calls measured on simt"));
  CHECK(contains(line, tuning.hash()));
  CHECK(tuning.architecture == "simt");
  REQUIRE(tuning.entries.size() == 2);
  for (const TuningEntry& entry : tuning.entries) {
    CHECK(entry.call.function == "gemm");
    CHECK(entry.origin == TuningEntry::Origin::measured);
    REQUIRE(entry.median_us.size() == 3);
    // The rule's is kept unless another one is faster by the margin.
    const int rule = entry.call.sizes[0] == 2 ? 0 : 1;
    double least = entry.median_us[0].second;
    for (const auto& [version, us] : entry.median_us) least = std::min(least, us);
    const double chosen = entry.median_us[std::size_t(entry.version)].second,
                 by_rule = entry.median_us[std::size_t(rule)].second;
    if (entry.version == rule) {
      CHECK(least >= (1 - autotune_margin) * by_rule);
    } else {
      CHECK(chosen == least);
      CHECK(chosen < (1 - autotune_margin) * by_rule);
    }
  }

  const Tuning again = autotune(simt, step, news, tuning);
  CHECK(contains(line, "autotune: 0 calls measured on simt"));
  CHECK(again.text() == tuning.text());
  CHECK(parse_tuning(tuning.text(), "here").text() == tuning.text());
}

TEST_CASE("kernels run the version of the table, unless one is named", "[simt]") {
  if (!has_simt()) return;
  const std::vector<std::string> by_rule = launched_products();
  REQUIRE(by_rule.size() == 3);
  CHECK(by_rule[0].starts_with("gemm_tiled"));
  CHECK(by_rule[2].starts_with("gemm_plain"));

  Tuning tuning = autotune(simt, step, [](const std::string&) {});
  REQUIRE(tuning.entries.size() == 2);
  for (TuningEntry& entry : tuning.entries) entry.version = entry.call.sizes[0] == 2 ? 1 : 0;
  {
    const TuningScope scope(tuning);
    const std::vector<std::string> by_table = launched_products();
    REQUIRE(by_table.size() == 3);
    CHECK(by_table[0].starts_with("gemm_plain"));
    CHECK(by_table[2].starts_with("gemm_tiled"));
    const kernels::ScopedVersion named("gemm", "tiled");
    for (const std::string& kernel : launched_products()) CHECK(kernel.starts_with("gemm_tiled"));
  }
  CHECK(launched_products() == by_rule);
}

TEST_CASE("a table whose version does not serve a call is refused at that call", "[simt]") {
  if (!has_simt()) return;
  const auto wide = [] { return Tensor::full({40, 40}, 0.5, DType::float64, simt); };
  Tuning tuning = autotune(
      simt, [&] { ops::matmul(wide(), wide()); }, [](const std::string&) {});
  REQUIRE(tuning.entries.size() == 1);
  REQUIRE(tuning.entries[0].median_us.size() == 2);  // no tensor cores for float64
  tuning.entries[0].version = 2;
  const std::string message = "version 'mma' does not serve gemm of float64, m 40, n 40, k 40";
  {
    const TuningScope scope(tuning);
    CHECK(contains(error_of([&] { ops::matmul(wide(), wide()); }), message));
  }
  const auto with_known = [&] {
    autotune(
        simt, [&] { ops::matmul(wide(), wide()); }, [](const std::string&) {}, tuning);
  };
  CHECK(contains(error_of(with_known), message));
  CHECK_NOTHROW(ops::matmul(wide(), wide()));
}

TEST_CASE("autotune is for devices with several versions of a kernel", "[simt]") {
  const auto nothing = [](const std::string&) {};
  CHECK(contains(error_of([&] { autotune(Device{}, step, nothing); }),
                 "autotune: the cpu has one version of each kernel"));
  if (!has_simt()) return;
  Tuning foreign{.architecture = "sm_90", .cuda = "13.0", .entries = {}};
  foreign.entries.push_back({.call = {"softmax", {}, {}, {1, 2}}, .version = 1});
  CHECK(contains(error_of([&] { autotune(simt, step, nothing, foreign); }),
                 "a table for sm_90, but simt is simt"));
}
