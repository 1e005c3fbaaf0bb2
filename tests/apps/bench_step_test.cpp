// Step benchmarks on tiny networks: figures that fit together, not how fast anything is.
#include "apps/bench/step.h"

#include "apps/bench/data.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/temp_dir.h"

using namespace ek;

namespace {

BenchStepOptions tiny(const std::string& task) {
  BenchStepOptions o;
  o.model = "resnet8";
  o.task = task;
  o.batch = 48;
  o.meta_batch = 36;
  o.classes = 10;
  o.image_size = 16;
  o.steps = 2;
  o.warmup = 2;
  o.pool = 2;
  return o;
}

void check_quantiles(const nlohmann::json& ms) {
  REQUIRE(ms["min"].get<double>() > 0);
  REQUIRE(ms["min"].get<double>() <= ms["median"].get<double>());
  REQUIRE(ms["median"].get<double>() <= ms["max"].get<double>());
}

}  // namespace

TEST_CASE("the bench predicts the peak that it measures", "[bench]") {
  // The whole step is in the trials: what is missed is what does not grow in proportion.
  constexpr double tolerance = 0.10;
  for (const char* task : {"plain", "difficulty-net"}) {
    for (const std::int64_t eval_images : {0, 40}) {
      CAPTURE(task, eval_images);
      BenchStepOptions o = tiny(task);
      o.eval_images = eval_images;
      const nlohmann::json result = bench_step(o);
      const double measured = result["peak_bytes"], predicted = result["predicted_peak_bytes"];
      CAPTURE(measured, predicted);
      REQUIRE(std::abs(predicted - measured) <= tolerance * measured);
      for (const auto& [use, bytes] : result["peak_bytes_by_use"].items()) {
        if (use == "other" || use == "workspace") continue;  // kilobytes
        CAPTURE(use);
        const double of_use = bytes;
        REQUIRE(std::abs(result["predicted_peak_bytes_by_use"][use].get<double>() - of_use) <=
                tolerance * of_use);
      }
      check_quantiles(result["step_ms"]);
      CHECK(result["steady_allocations"] == 0);
    }
  }
}

TEST_CASE("a profile of the bench has all its tables", "[bench]") {
  const TempDir dir;
  BenchStepOptions o = tiny("difficulty-net");
  o.profile = (dir / "profile.txt").string();
  o.trace = (dir / "trace.json").string();
  bench_step(o);
  const std::string text = file_bytes(dir / "profile.txt");
  CHECK(text.starts_with("resnet8 difficulty-net, batch 48, float32, "));
  for (const char* part : {"Ops, all 5 profiled steps", "oneDNN", "layer3.0.conv2", "(no layer)",
                           "outside of them", "tangent"}) {
    CAPTURE(part);
    CHECK(contains(text, part));
  }
  const auto trace = nlohmann::json::parse(file_bytes(dir / "trace.json"));
  CHECK(trace.at("traceEvents").size() > 100);
}

TEST_CASE("steps with loading and evaluation are timed beside those without", "[bench]") {
  const TempDir dir;
  for (const char* task : {"plain", "difficulty-net"}) {
    CAPTURE(task);
    BenchStepOptions o = tiny(task);
    o.with_data = "synthetic:shapes";
    o.augment = "cifar-dn-plain";
    o.profile = (dir / "profile.txt").string();
    const nlohmann::json result = bench_with_data(o);
    for (const char* key : {"step_ms", "step_ms_with_data", "step_ms_with_data_and_evaluation"}) {
      check_quantiles(result[key]);
    }
    CHECK(result["prepare_ms"].get<double>() > 0);
    CHECK(result["wait_ms"]["min"].get<double>() >= 0);
    // One evaluation an epoch: the shares of its steps make up the test set, and what is held out.
    const std::int64_t steps = result["steps_per_epoch"],
                       share = result["evaluated_images_per_step"];
    const std::int64_t images = std::string(task) == "plain" ? 1000 : 1000 + 100;
    CHECK(steps * share >= images);
    CHECK(steps * (share - 1) < images);
    const std::string text = file_bytes(dir / "profile.txt");
    CHECK(contains(text, "wait_for_batch"));
    CHECK(contains(text, "on synthetic:shapes"));
  }
}

TEST_CASE("the bench refuses what it cannot run", "[bench]") {
  BenchStepOptions o = tiny("plain");
  o.task = "fast";
  CHECK(
      contains(error_of([&] { bench_step(o); }), "--task fast: expected plain or difficulty-net"));
  CHECK(contains(error_of([&] { bench_with_data(o); }), "--task fast"));
  o = tiny("plain");
  o.steps = 0;
  CHECK(contains(error_of([&] { bench_step(o); }), "--steps"));
  o = tiny("plain");
  o.steps_per_graph = 2;
  CHECK(contains(error_of([&] { bench_step(o); }), "--steps-per-graph: the cpu has no graphs"));
  o.eval_images = 4;
  CHECK(contains(error_of([&] { bench_step(o); }), "--steps-per-graph 2: --eval-images"));
  o.with_data = "synthetic:shapes";
  CHECK(
      contains(error_of([&] { bench_with_data(o); }), "--steps-per-graph 2: steps of --with-data"));
  o = tiny("plain");
  o.with_data = "synthetic:nothing";
  CHECK(contains(error_of([&] { bench_with_data(o); }), "nothing"));
  o.with_data = "synthetic:shapes";
  o.augment = "none";
  CHECK(contains(error_of([&] { bench_with_data(o); }), "augment"));
}
