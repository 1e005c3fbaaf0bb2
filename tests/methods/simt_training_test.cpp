// Whole training steps on the device simt against the CPU: the CUDA kernels on the host, under the
// models and methods that train on the CPU.
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/safetensors.h"
#include "methods/precision_report.h"
#include "methods/step_runner.h"
#include "methods/task.h"
#include "methods/trainer.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/methods/tiny_data.h"

using namespace ek;

namespace {

constexpr Device simt{Device::Kind::simt};

bool has_simt() {
  if (is_available(simt)) return true;
  WARN("this build has no simt device");
  return false;
}

// What a step left behind.
struct Moment {
  std::vector<double> params, buffers;
  std::vector<std::pair<std::string, double>> report;
};
struct Steps {
  std::vector<Moment> moments;
  std::vector<std::pair<std::string, std::vector<double>>> method;
};

Steps run_steps(const std::string& data, const std::string& method, Precision precision,
                Device device, std::int64_t count) {
  const Recipe recipe = Recipe::resolve(tiny_recipe(method), "test");
  const Task task(recipe, data, precision, device);
  TrainState state = task.initial_state();
  Sgd optimizer(recipe.optimizer());
  const auto segments = optimizer_segments(state.params, 1e-4, {});
  Steps steps;
  StepRunner runner(task, state, optimizer, segments, 0, {.prefetch = 0});
  for (std::int64_t step = 0; step < count; ++step) {
    const StepReport report = runner.advance(1).front().report;
    CHECK(state.params.flat().device() == device);
    CHECK(state.buffers.flat().device() == device);
    Moment& moment = steps.moments.emplace_back();
    moment.params = state.params.flat().to_vector();
    moment.buffers = state.buffers.flat().to_vector();
    for (const auto& [name, value] : report) moment.report.emplace_back(name, value());
  }
  for (const auto& [name, tensor] : task.method->state()) {
    steps.method.emplace_back(name, tensor.to_vector());
  }
  return steps;
}

// 2-norm of the difference over that of what is expected; NaN where a value is.
double distance(const std::vector<double>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    difference += (got[i] - expected[i]) * (got[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  return difference == 0 ? 0 : std::sqrt(difference / norm);
}

void require_near(const Steps& got, const Steps& expected, const std::vector<double>& tolerances) {
  REQUIRE(got.moments.size() == expected.moments.size());
  for (std::size_t i = 0; i < got.moments.size(); ++i) {
    const Moment &a = got.moments[i], &b = expected.moments[i];
    const double tolerance = tolerances.at(std::min(i, tolerances.size() - 1));
    CAPTURE(i, tolerance);
    CAPTURE(distance(a.params, b.params), distance(a.buffers, b.buffers));
    CHECK(distance(a.params, b.params) <= tolerance);
    CHECK(distance(a.buffers, b.buffers) <= tolerance);
    REQUIRE(a.report.size() == b.report.size());
    for (std::size_t k = 0; k < a.report.size(); ++k) {
      CAPTURE(a.report[k].first, a.report[k].second, b.report[k].second);
      CHECK(a.report[k].first == b.report[k].first);
      CHECK(std::abs(a.report[k].second - b.report[k].second) <=
            4 * tolerance * std::abs(b.report[k].second));
    }
  }
}

// The first step differs by rounding alone: sums in another order, some ulps of float32; a few
// steps on, a rounding next to zero may have switched a ReLU of the four images.
const std::vector<double> float32_tolerances{1e-5, 1e-3};
// Factors rounded to 10 bits (2^-11 of a value each) against exact ones.
const std::vector<double> tf32_tolerances{1e-3, 1e-3, 2e-2};
// The same roundings to bfloat16 on both sides, but for sums that differ by an ulp of float32 where
// two bfloat16 numbers are equally near: then the stored value differs by 2^-8.
const std::vector<double> bf16_tolerances{1e-3, 1e-3, 2e-2};

const std::vector<double>& tolerances_of(Precision precision) {
  static const std::vector<double> float64_tolerances{1e-11, 1e-9};  // the same in float64
  switch (precision) {
    case Precision::float64:
      return float64_tolerances;
    case Precision::tf32:
      return tf32_tolerances;
    case Precision::bf16:
      return bf16_tolerances;
    default:
      return float32_tolerances;
  }
}

void compare_with_cpu(const std::string& method, Precision precision, std::int64_t count) {
  CAPTURE(method, name_of(precision));
  const TempDir dir;
  const std::string data = tiny_data(dir);
  const bool tf32 = precision == Precision::tf32;
  const Steps cpu = run_steps(data, method, tf32 ? Precision::float32 : precision, {}, count);
  const Steps there = run_steps(data, method, precision, simt, count);
  require_near(there, cpu, tolerances_of(precision));
  REQUIRE(there.method.size() == cpu.method.size());
  for (std::size_t i = 0; i < cpu.method.size(); ++i) {
    CAPTURE(cpu.method[i].first);
    CHECK(there.method[i].first == cpu.method[i].first);
    // Adam's moments are of meta-gradients, whose tolerance is that of their norm in reports.
    CHECK(distance(there.method[i].second, cpu.method[i].second) <=
          (precision == Precision::float32 || precision == Precision::float64 ? 4e-3 : 0.1));
  }
  // tf32 is another arithmetic than float32, by more than another order of sums.
  if (tf32) CHECK(distance(there.moments[0].params, cpu.moments[0].params) >= 1e-6);
}

bool same(const Steps& a, const Steps& b) {
  for (std::size_t i = 0; i < a.moments.size(); ++i) {
    const Moment &x = a.moments[i], &y = b.moments.at(i);
    if (x.params != y.params || x.buffers != y.buffers || x.report != y.report) return false;
  }
  return a.method == b.method;
}

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

nlohmann::json json_of(const std::filesystem::path& file) {
  return nlohmann::json::parse(file_bytes(file));
}

// The lines of metrics.jsonl without what the clock says.
std::vector<nlohmann::json> metrics(const std::filesystem::path& run) {
  std::ifstream stream(run / "metrics.jsonl");
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(nlohmann::json::parse(line));
    lines.back().erase("wall_s");
  }
  return lines;
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
  CHECK(metrics(dir / "straight") == metrics(dir / "resumed"));
}

}  // namespace

TEST_CASE("plain training steps on simt are those of the cpu", "[simt][training]") {
  if (!has_simt()) return;
  for (const Precision p : {Precision::float32, Precision::tf32, Precision::bf16}) {
    compare_with_cpu("supervised", p, 3);
  }
}

TEST_CASE("Difficulty-Net steps on simt are those of the cpu", "[simt][training]") {
  if (!has_simt()) return;
  compare_with_cpu("difficulty-net", Precision::float32, 3);
}

TEST_CASE("Difficulty-Net steps on simt, other precisions", "[simt][training][slow]") {
  if (!has_simt()) return;
  for (const Precision p : {Precision::tf32, Precision::bf16, Precision::float64}) {
    compare_with_cpu("difficulty-net", p, 3);
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
    const auto once = [&] { return run_steps(data, method, precision, simt, 3); };
    CHECK(same(once(), once()));
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
  // What methods/price.h promises.
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
  const auto lines = metrics(dir / "run"), expected = metrics(dir / "cpu");
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
  CHECK(contains(error, "training: the loss of step 2 is "));
  CHECK_FALSE(std::filesystem::exists(dir / "run" / "last.safetensors"));
  const std::string on_cpu = error_of([&] {
    train(tiny("supervised", {"optim.lr=1e30", "log.every=3"}), options(data, dir / "cpu", {}), {});
  });
  CHECK(contains(on_cpu, "training: the loss of step 1 is "));
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
