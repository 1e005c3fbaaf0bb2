#include "kernels/norm.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "kernels/base/error.h"
#include "tests/catch.h"
#include "tests/kernels/norm_run.h"
#include "tests/kernels/numbers.h"
#include "tests/paths.h"

using namespace ek::kernels;
using namespace ek::test;
using nlohmann::json;

namespace {

using Numbers = std::vector<double>;

// One row; fewer rows than a run of lanes; several blocks with a rest; channels that divide the
// lanes of a run, multiples of them, and neither; rows cut into several patches.
const std::vector<std::pair<std::int64_t, std::int64_t>> kShapes{
    {1, 5},     {3, 16},     {7000, 16}, {3001, 32}, {777, 64},  {5000, 10},  {200, 130},
    {131, 512}, {150, 1100}, {6, 1},     {20001, 3}, {3333, 17}, {1001, 100}, {203, 513}};

// The golden tensors are NCHW; rows here are pixels.
Numbers rows_of(const json& images) {
  Numbers rows;
  for (const json& image : images) {
    for (std::size_t h = 0; h < image[0].size(); ++h) {
      for (std::size_t w = 0; w < image[0][h].size(); ++w) {
        for (const json& channel : image) rows.push_back(channel[h][w]);
      }
    }
  }
  return rows;
}

}  // namespace

TEST_CASE("statistics, normalisation and their tangents reproduce the golden batch norm") {
  std::ifstream file(source_dir() + "/tests/golden/meta_gradients.json");
  const json golden = json::parse(file)["batchnorm_jvp"];
  const json& in = golden["inputs"];
  NormCase<double> c(8, 2, false);
  c.y = rows_of(in["x"]);
  c.shortcut.clear();
  c.gamma = in["gamma"].get<Numbers>();
  c.beta = in["beta"].get<Numbers>();
  c.eps = in["eps"];
  c.run_stats();
  const auto act = c.forward();
  const Numbers y_tangent = rows_of(in["x_dot"]);
  const auto gamma_tangent = in["gamma_dot"].get<Numbers>();
  const auto beta_tangent = in["beta_dot"].get<Numbers>();
  const auto [mean_tangent, var_tangent] = c.stats_jvp(y_tangent);
  Numbers act_tangent(16);
  norm_act_jvp<Cpu, double>({}, c.params(), c.y.data(), act.data(),
                            {y_tangent.data(), nullptr, mean_tangent.data(), var_tangent.data(),
                             gamma_tangent.data(), beta_tangent.data()},
                            act_tangent.data());
  REQUIRE(max_error(act, rows_of(golden["expected"]["y"]), 1e-3) <= 1e-12);
  REQUIRE(max_error(act_tangent, rows_of(golden["expected"]["y_dot"]), 1e-3) <= 1e-12);
}

TEMPLATE_TEST_CASE("channel statistics equal the plain sums", "", float, double) {
  using T = TestType;
  for (const auto& [rows, channels] : kShapes) {
    CAPTURE(rows, channels);
    NormCase<T> c(rows, channels, false);
    c.run_stats();
    std::vector<long double> mean(channels), var(channels);
    for (std::int64_t i = 0; i < rows * channels; ++i) {
      mean[i % channels] += (long double)(c.y[i]) / (long double)(rows);
    }
    for (std::int64_t i = 0; i < rows * channels; ++i) {
      const long double d = c.y[i] - mean[i % channels];
      var[i % channels] += d * d / (long double)(rows);
    }
    // Numbers of size 1, summed in lanes of up to 128 terms: a few roundings of T.
    const double tolerance = 16 * double(std::numeric_limits<T>::epsilon());
    REQUIRE(max_error(c.mean, mean, 1) <= tolerance);
    REQUIRE(max_error(c.var, var, 1) <= tolerance);
  }
}

TEST_CASE("the float variance does not cancel when |mean| >> std") {
  const std::int64_t rows = 30000, channels = 16;
  NormCase<float> c(rows, channels, false);
  NormCase<double> exact(rows, channels, false);
  for (std::int64_t i = 0; i < rows * channels; ++i) {
    c.y[i] = 4000.0f + 0.1f * c.y[i];
    exact.y[i] = double(c.y[i]);
  }
  c.run_stats();
  exact.run_stats();
  // mean^2 / var is 5e9: a difference of squares in float would have no correct digit.
  REQUIRE(max_error(c.mean, exact.mean, 1) <= 1e-7);
  REQUIRE(max_error(c.var, exact.var, 0) <= 1e-5);
  // The mean itself rounds to half an ulp of 4000, 1.2e-4, against a std of 0.058.
  REQUIRE(max_error(c.forward(), exact.forward(), 1) <= 3e-3);
}

TEST_CASE("the variance survives a block that starts far from its mean") {
  // 100 rows at 1000, then 100 times as many around 0: the first rows say nothing of the rest.
  const std::int64_t rows = 10100, channels = 16;
  NormCase<float> c(rows, channels, false);
  for (std::int64_t i = 0; i < 100 * channels; ++i) c.y[i] += 1000;
  auto exact = c.exact();
  c.run_stats();
  exact.run_stats();
  // A block's pivot comes from an eighth of its rows, so at most 8 times the rounding of its sums,
  // 256 numbers to a lane of float.
  REQUIRE(max_error(c.mean, exact.mean, 1000) <= 1e-7);
  REQUIRE(max_error(c.var, exact.var, 0) <= 8 * 256 * 0x1p-24);
}

TEST_CASE("a single row and a constant channel have variance 0 and a finite result") {
  for (std::int64_t rows : {1, 5000}) {
    NormCase<float> c(rows, 3, true);
    for (std::int64_t i = 0; i < rows * 3; ++i) c.y[i] = 0.1f * float(i % 3 + 1);
    c.run_stats();
    const auto act = c.forward();
    for (int k = 0; k < 3; ++k) {
      REQUIRE(std::abs(c.mean[k] - 0.1f * float(k + 1)) <= 1e-7f);
      REQUIRE((c.var[k] >= 0 && c.var[k] <= 1e-12f));
    }
    REQUIRE(std::all_of(act.begin(), act.end(), [](float v) { return std::isfinite(v); }));
  }
}

TEMPLATE_TEST_CASE("norm_act_forward follows its formula", "", float, double) {
  using T = TestType;
  for (const auto& [rows, channels] : kShapes) {
    for (const bool relu : {false, true}) {
      CAPTURE(rows, channels, relu);
      NormCase<T> c(rows, channels, relu);
      c.run_stats();
      Numbers with(rows * channels), without(rows * channels);
      for (std::int64_t i = 0; i < rows * channels; ++i) {
        const std::int64_t k = i % channels;
        const double xhat =
            (double(c.y[i]) - double(c.mean[k])) / std::sqrt(double(c.var[k]) + c.eps);
        without[i] = double(c.gamma[k]) * xhat + double(c.beta[k]);
        with[i] = without[i] + double(c.shortcut[i]);
        if (relu) with[i] = std::max(with[i], 0.0);
        if (relu) without[i] = std::max(without[i], 0.0);
      }
      const double tolerance = 32 * double(std::numeric_limits<T>::epsilon());
      REQUIRE(max_error(c.forward(), with, 1) <= tolerance);
      c.shortcut.clear();
      REQUIRE(max_error(c.forward(), without, 1) <= tolerance);
    }
  }
}

// 2 channels are computed in vectors after 32 rows at the latest, and singly before.
TEMPLATE_TEST_CASE("a NaN in y reaches the activation and the statistics", "", float, ek::bf16) {
  using T = TestType;
  for (const std::size_t at : {3, 127, 201}) {
    NormCase<T> c(101, 2, true);
    c.mean = {0, 0};
    c.var = {1, 1};
    c.y[at] = nearest<T>(std::numeric_limits<double>::quiet_NaN());
    REQUIRE(std::isnan(number(c.forward()[at])));
    c.run_stats();
    REQUIRE((std::isnan(c.mean[1]) && std::isnan(c.var[1])));
    REQUIRE((std::isfinite(c.mean[0]) && std::isfinite(c.var[0])));
  }
}

TEST_CASE("norm kernels refuse what they cannot do") {
  std::vector<float> y(4), mean(2), var(2), bytes(64);
  const Workspace small{bytes.data(), 8}, enough{bytes.data(), 256};
  const auto stats = [&](std::int64_t rows, Workspace w) {
    channel_stats_forward<Cpu, float>({}, rows, 2, y.data(), mean.data(), var.data(), w);
  };
  CHECK_THROWS_AS(stats(0, enough), ek::Error);
  CHECK_THROWS_AS(stats(2, small), ek::Error);
  CHECK_NOTHROW(stats(2, enough));
}

TEMPLATE_TEST_CASE("norm bits do not depend on threads", "", float, ek::bf16) {
  using T = TestType;
  for (const auto& [rows, channels] : kShapes) {
    CAPTURE(rows, channels);
    std::vector<double> first;
    for (int threads : {1, 2, 4}) {
      const Threads scope(threads);
      NormCase<T> c(rows, channels, true);
      c.run_stats();
      const auto act = c.forward();
      auto all = c.vjp(act, c.shortcut).flat();
      const auto [mean_tangent, var_tangent] = c.stats_jvp(c.shortcut);
      for (const auto& part : {c.mean, c.var, mean_tangent, var_tangent}) {
        all.insert(all.end(), part.begin(), part.end());
      }
      for (T v : act) all.push_back(number(v));
      if (first.empty()) first = all;
      REQUIRE(same_bits(all, first));
    }
  }
}
