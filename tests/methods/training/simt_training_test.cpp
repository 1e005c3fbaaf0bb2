// Whole training steps on the device simt against the CPU: the CUDA kernels on the host, under the
// models and methods that train on the CPU.
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/io/safetensors.h"
#include "methods/session/experiment.h"
#include "methods/training/precision_report.h"
#include "methods/training/trainer.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/methods/tiny_data.h"
#include "tests/methods/training/run_files.h"
#include "tests/methods/training/training_steps.h"
#include "tests/simt_device.h"

using namespace ek;

namespace {

TrainOptions options(const std::string& data, const std::filesystem::path& out,
                     Device device = simt) {
  TrainOptions o;
  o.data = data;
  o.out = out.string();
  o.device = device;
  o.prefetch = 1;
  return o;
}

Recipe tiny(const std::string& method, const std::vector<std::string>& sets = {}) {
  return Recipe::resolve(tiny_recipe(method), "test", sets);
}

void check_resume(const std::string& method) {
  const TempDir dir;
  const std::string data = tiny_data(dir);
  CHECK(train(tiny(method), options(data, dir / "straight"), {}) == TrainEnd::finished);
  TrainOptions first = options(data, dir / "resumed");
  first.max_steps = 2;
  CHECK(train(tiny(method), first, {}) == TrainEnd::stopped_at_max_steps);
  TrainOptions rest = options(data, dir / "resumed");
  rest.resume = true;
  CHECK(train(tiny(method), rest, {}) == TrainEnd::finished);
  for (const char* file : {"last.safetensors", "best.safetensors"}) {
    CHECK(file_bytes(dir / "straight" / file) == file_bytes(dir / "resumed" / file));
  }
  CHECK(metrics_of(dir / "straight") == metrics_of(dir / "resumed"));
}

}  // namespace

TEST_CASE("plain training steps on simt are those of the cpu", "[simt][training]") {
  if (!has_simt()) return;
  for (const Precision p : {Precision::float32, Precision::tf32, Precision::bf16}) {
    compare_with_cpu(simt, "supervised", p, 3);
  }
}

TEST_CASE("Difficulty-Net steps on simt are those of the cpu", "[simt][training]") {
  if (!has_simt()) return;
  compare_with_cpu(simt, "difficulty-net", Precision::float32, 3);
}

TEST_CASE("Difficulty-Net steps on simt, other precisions", "[simt][training][slow]") {
  if (!has_simt()) return;
  for (const Precision p : {Precision::tf32, Precision::bf16, Precision::float64}) {
    compare_with_cpu(simt, "difficulty-net", p, 3);
  }
}

// (The resume below compares two plain runs in float32.)
TEST_CASE("two runs on simt have the same bits", "[simt][training][slow]") {
  if (!has_simt()) return;
  const TempDir dir;
  const std::string data = tiny_data(dir);
  for (const auto& [method, precision] : {std::pair("supervised", Precision::tf32),
                                          {"difficulty-net", Precision::float32},
                                          {"difficulty-net", Precision::bf16}}) {
    const auto once = [&] { return run_steps(tiny_recipe(method), data, precision, simt, 3); };
    CHECK(same_bits(once(), once()));
  }
}

TEST_CASE("a run on simt fills its folder, and goes on on the cpu", "[simt][training]") {
  if (!has_simt()) return;
  const TempDir dir;
  const std::string data = tiny_data(dir);
  TrainOptions o = options(data, dir / "run");
  o.max_steps = 2;
  std::vector<std::string> messages;
  TrainObserver observer;
  observer.message = [&](const std::string& text) { messages.push_back(text); };
  CHECK(train(tiny("supervised"), o, observer) == TrainEnd::stopped_at_max_steps);
  const nlohmann::json config = json_of(dir / "run" / "config.json");
  CHECK(config["device"] == "simt");
  const nlohmann::json summary = json_of(dir / "run" / "summary.json");
  CHECK(summary["device"] == "simt");
  // What methods/training/price.h promises.
  const double measured = summary["peak_bytes"], predicted = summary["predicted_peak_bytes"];
  CAPTURE(measured, predicted);
  CHECK(std::abs(predicted - measured) <= 0.10 * measured);

  // The same files as from the CPU: names, dtypes and shapes of all tensors, keys of all lines.
  train(tiny("supervised"),
        [&] {
          TrainOptions cpu = options(data, dir / "cpu", {});
          cpu.max_steps = 2;
          return cpu;
        }(),
        {});
  const auto a = read_safetensors(dir / "run" / "last.safetensors");
  const auto b = read_safetensors(dir / "cpu" / "last.safetensors");
  REQUIRE(a.tensors.size() == b.tensors.size());
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    CHECK(a.tensors[i].first == b.tensors[i].first);
    CHECK(a.tensors[i].second.shape() == b.tensors[i].second.shape());
    CHECK(a.tensors[i].second.dtype() == b.tensors[i].second.dtype());
  }
  const auto lines = metrics_of(dir / "run"), expected = metrics_of(dir / "cpu");
  REQUIRE(lines.size() == expected.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    for (const auto& [key, value] : expected[i].items()) CHECK(lines[i].contains(key));
    CHECK(lines[i].size() == expected[i].size());
  }

  TrainOptions rest = options(data, dir / "run", {});
  rest.resume = true;
  CHECK(train(tiny("supervised"), rest, {}) == TrainEnd::finished);
  CHECK(json_of(dir / "run" / "config.json") == config);
  CHECK(json_of(dir / "run" / "summary.json")["device"] == "cpu");
}

TEST_CASE("a run on simt is the same byte for byte after a stop and a resume", "[simt][training]") {
  if (!has_simt()) return;
  check_resume("supervised");
}

TEST_CASE("so is a Difficulty-Net run on simt", "[simt][training][slow]") {
  if (!has_simt()) return;
  check_resume("difficulty-net");
}

TEST_CASE("a loss that is no number ends a run on simt at the next look", "[simt][training]") {
  if (!has_simt()) return;
  const TempDir dir;
  const std::string data = tiny_data(dir);
  // Step 0 is fine and logged; the one after it has parameters of 1e30 and is not.
  const std::string error = error_of([&] {
    train(tiny("supervised", {"optim.lr=1e30", "log.every=3"}), options(data, dir / "run"), {});
  });
  CAPTURE(error);
  CHECK(contains(error, "training: the loss of step 3 is "));
  CHECK_FALSE(std::filesystem::exists(dir / "run" / "last.safetensors"));
  const std::string on_cpu = error_of([&] {
    train(tiny("supervised", {"optim.lr=1e30", "log.every=3"}), options(data, dir / "cpu", {}), {});
  });
  CHECK(contains(on_cpu, "training: the loss of step 2 is "));
}

TEST_CASE("a profile on simt says whose times it has", "[simt][training]") {
  if (!has_simt()) return;
  const TempDir dir;
  TrainOptions o = options(tiny_data(dir), dir / "run");
  o.profile = (dir / "profile.txt").string();
  train(tiny("supervised"), o, {});
  const std::string text = file_bytes(dir / "profile.txt");
  CHECK(contains(text, "device simt: times of the host executor"));
  CHECK_FALSE(contains(text, "oneDNN"));
}

TEST_CASE("the audit passes on simt", "[simt][training][slow]") {
  if (!has_simt()) return;
  const TempDir dir;
  const std::string data = tiny_data(dir);
  for (const char* method : {"supervised", "difficulty-net"}) {
    const Audit audit = audit_training(tiny(method), options(data, ""));
    INFO(audit.table());
    CHECK(audit.passed());
  }
}

TEST_CASE("tf32 against float64: on simt alone", "[simt][training]") {
  const TempDir dir;
  const std::string data = tiny_data(dir);
  TrainOptions o = options(data, dir / "run", {});
  o.precision = Precision::tf32;
  CHECK(contains(error_of([&] { train(tiny("supervised"), o, {}); }),
                 "precision tf32: it is for the devices cuda and simt"));
  CHECK_FALSE(std::filesystem::exists(dir / "run"));
  if (!has_simt()) return;
  CHECK(contains(error_of([&] {
                   o.device = simt;
                   train(tiny("difficulty-net", {"method.estimator=finite-difference"}), o, {});
                 }),
                 "estimator finite-difference cannot run in tf32"));
  const auto error = [&](Precision precision) {
    o.precision = precision;
    const PrecisionReport report = precision_report(tiny("supervised"), o);
    CHECK(report.table().starts_with(name_of(precision)));
    return report.lines.at(0).error;  // of the training gradient as a whole
  };
  const double exact = error(Precision::float32), rounded = error(Precision::tf32);
  CAPTURE(exact, rounded);
  CHECK(exact <= 1e-4);
  CHECK(rounded <= 0.1);         // 2^-11, and the ReLUs that it switches
  CHECK(rounded >= 10 * exact);  // 13 bits fewer
}
