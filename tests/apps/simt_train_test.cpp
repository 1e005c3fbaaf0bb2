// ek-train, ek-eval and ek-bench-step on the device simt, as programs.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/io/safetensors.h"
#include "engine/tensor/device.h"
#include "tests/apps/program_run.h"
#include "tests/methods/tiny_data.h"
#include "tests/simt_device.h"

using namespace ek;

namespace {

// A run in `out` on tiny images.
ProgramRun train(const TempDir& dir, const std::string& arguments) {
  return run_program(dir, "ek-train", "--threads 1 --recipe tiny.json --data tiny " + arguments);
}

std::vector<double> logits(const TempDir& dir, const std::string& checkpoint,
                           const std::string& device) {
  const ProgramRun run = run_program(dir, "ek-eval",
                                     "--threads 1 --data tiny --json --checkpoint " + checkpoint +
                                         " --logits-out " + device + ".st --device " + device);
  CAPTURE(run.error);
  REQUIRE(run.code == 0);
  return read_safetensors(dir / (device + ".st")).find("logits")->to_vector();
}

}  // namespace

TEST_CASE("ek-train and ek-eval on simt, with a resume", "[simt][training]") {
  if (!has_simt()) return;
  const TempDir dir;
  tiny_data(dir);
  put_file(dir / "tiny.json", tiny_recipe("supervised"));
  ProgramRun run = train(dir, "--out run --device simt --max-steps 1");
  CAPTURE(run.error);
  REQUIRE(run.code == 0);
  run = train(dir, "--out run --device simt --max-steps 2 --resume");
  CHECK(contains(run.error, "resuming at step 1 on simt"));
  REQUIRE(run.code == 0);
  const auto config = nlohmann::json::parse(file_bytes(dir / "run" / "config.json"));
  CHECK(config["device"] == "simt");
  CHECK(config["precision"] == "float32");

  // Logits of ten layers, sums in another order; every prediction is the same.
  const std::vector<double> there = logits(dir, "run", "simt"), here = logits(dir, "run", "cpu");
  REQUIRE(there.size() == here.size());
  for (std::size_t i = 0; i < here.size(); ++i) CHECK(std::abs(there[i] - here[i]) <= 1e-4);
  for (std::size_t row = 0; row < here.size(); row += 3) {
    const auto largest = [&](const std::vector<double>& v) {
      const auto begin = v.begin() + std::ptrdiff_t(row);
      return std::max_element(begin, begin + 3) - begin;
    };
    CHECK(largest(there) == largest(here));
  }
}

TEST_CASE("ek-train in tf32 on simt; its checkpoint on the cpu", "[simt][training]") {
  if (!has_simt()) return;
  const TempDir dir;
  tiny_data(dir);
  put_file(dir / "tiny.json", tiny_recipe("supervised"));
  const ProgramRun run = train(dir, "--out run --device simt --precision tf32 --max-steps 1");
  CAPTURE(run.error);
  REQUIRE(run.code == 0);
  CHECK(read_safetensors_metadata(dir / "run" / "last.safetensors")["precision"] == "tf32");
  const ProgramRun eval = run_program(dir, "ek-eval", "--data tiny --checkpoint run");
  CHECK(eval.code == 0);
  CHECK(contains(eval.out, "in float32 instead of tf32"));
  check_refused(train(dir, "--out run --precision tf32 --device cpu --resume"),
                "--precision tf32: tf32 is for --device cuda or simt");
  check_refused(train(dir, "--out run --precision float32 --resume"), "--precision differs");
}

TEST_CASE("ek-train prices on simt", "[simt][training]") {
  if (!has_simt()) return;
  const TempDir dir;
  tiny_data(dir);
  put_file(dir / "tiny.json", tiny_recipe("supervised"));
  const ProgramRun price = train(dir, "--price --device simt");
  CHECK(price.code == 0);
  CHECK(contains(price.out, "predicted peak of tensor memory, batch 4"));
}

TEST_CASE("ek-bench-step on simt", "[simt][training][slow]") {
  if (!has_simt()) return;
  const TempDir dir;
  double loss = 0;
  for (const int steps_per_graph : {0, 2}) {
    const ProgramRun bench = run_program(
        dir, "ek-bench-step",
        fmt::format("--threads 1 --model resnet8 --task difficulty-net --batch 1 --meta-batch 1 "
                    "--pool 1 --steps 2 --warmup 2 --json --device simt --steps-per-graph {}",
                    steps_per_graph));
    CAPTURE(bench.error);
    REQUIRE(bench.code == 0);
    const auto result = nlohmann::json::parse(bench.out);
    CHECK(result["device"] == "simt");
    CHECK(result["steps"] == 2);
    CHECK(result["steps_per_graph"] == steps_per_graph);
    const double measured = result["peak_bytes"], predicted = result["predicted_peak_bytes"];
    CHECK(std::abs(predicted - measured) <= 0.10 * measured);
    if (steps_per_graph == 0) {
      loss = result["first_loss"];
      CHECK(result["launches_per_step"].is_null());
    } else {
      CHECK(result["first_loss"] == loss);
      CHECK(result["launches_per_step"]["kernels"].get<double>() > 100);
    }
    CHECK(result["last_loss"].get<double>() > 0);
  }
}
