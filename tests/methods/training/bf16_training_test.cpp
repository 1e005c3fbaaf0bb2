// Training in bf16: determinism, resume, what a checkpoint holds, what is refused.
#include <nlohmann/json.hpp>

#include "engine/io/safetensors.h"
#include "engine/tensor/device.h"
#include "methods/training/trainer.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/temp_dir.h"

using namespace ek;

namespace {

Recipe recipe(const std::string& method, const std::vector<std::string>& sets = {}) {
  nlohmann::json json{
      {"data", {{"imbalance", 10}, {"n_max", 20}, {"meta_per_class", 4}, {"normalize", "half"}}},
      {"model", {{"name", "resnet8"}}},
      {"method", {{"name", method}}},
      {"optim", {{"lr", 0.05}, {"momentum", 0.9}, {"weight_decay", 1e-4}}},
      {"schedule", {{"unit", "iteration"}, {"length", 8}, {"kind", "constant"}}},
      {"batch_size", 16},
      {"eval", {{"every", 0}}},
      {"checkpoint", {{"every", 3}}},
      {"log", {{"every", 1}}}};
  if (method == "difficulty-net") {
    json["method"]["meta_batch"] = 12;
    json["method"]["accuracy_refresh"] = "iterations:3";
  }
  return Recipe::resolve(json.dump(), "test", sets);
}

TrainOptions options(const std::filesystem::path& out, Precision precision = Precision::bf16) {
  TrainOptions o;
  o.data = "synthetic:shapes";
  o.out = out.string();
  o.precision = precision;
  return o;
}

// The losses of metrics.jsonl, and its lines without what the clock says.
struct Metrics {
  std::vector<double> losses;
  std::string text;
};
Metrics metrics(const std::filesystem::path& run) {
  Metrics out;
  std::ifstream stream(run / "metrics.jsonl");
  for (std::string line; std::getline(stream, line);) {
    auto json = nlohmann::json::parse(line);
    json.erase("wall_s");
    if (json["kind"] == "train") out.losses.push_back(json["loss"]);
    out.text += json.dump() + "\n";
  }
  return out;
}

void require_same_run(const std::filesystem::path& a, const std::filesystem::path& b) {
  CHECK(file_bytes(a / "last.safetensors") == file_bytes(b / "last.safetensors"));
  CHECK(file_bytes(a / "best.safetensors") == file_bytes(b / "best.safetensors"));
  CHECK(metrics(a).text == metrics(b).text);
}

}  // namespace

TEST_CASE("a bf16 run is the same byte for byte after a stop and a resume", "[trainer][bf16]") {
  const TempDir dir;
  for (const char* method : {"supervised", "difficulty-net"}) {
    INFO(method);
    const auto straight = dir / (std::string(method) + "-straight");
    const auto resumed = dir / (std::string(method) + "-resumed");
    CHECK(train(recipe(method), options(straight), {}) == TrainEnd::finished);
    TrainOptions first = options(resumed);
    first.max_steps = 4;
    CHECK(train(recipe(method), first, {}) == TrainEnd::stopped_at_max_steps);
    TrainOptions rest = options(resumed);
    rest.resume = true;
    CHECK(train(recipe(method), rest, {}) == TrainEnd::finished);
    require_same_run(straight, resumed);
  }
}

TEST_CASE("a bf16 run has the same bits for 1, 2 and 4 threads", "[trainer][bf16]") {
  const TempDir dir;
  const int before = thread_count();
  for (const int threads : {1, 2, 4}) {
    set_threads(threads);
    train(recipe("difficulty-net"), options(dir / std::to_string(threads)), {});
  }
  set_threads(before);
  require_same_run(dir / "1", dir / "2");
  require_same_run(dir / "1", dir / "4");
}

TEST_CASE("a bf16 run follows the float32 one and stores float32", "[trainer][bf16]") {
  const TempDir dir;
  const auto half = dir / "half", single = dir / "single";
  train(recipe("supervised"), options(half), {});
  train(recipe("supervised"), options(single, Precision::float32), {});
  const std::vector<double> a = metrics(half).losses, b = metrics(single).losses;
  REQUIRE(a.size() == 8);
  REQUIRE(b.size() == 8);
  CHECK(a != b);  // it is another arithmetic
  // The first loss differs by rounding alone, later ones by what that does to eight steps.
  CHECK(std::abs(a[0] - b[0]) <= 5e-3);
  for (std::size_t i = 1; i < 8; ++i) CHECK(std::abs(a[i] - b[i]) <= 3e-2);

  const SafetensorsFile last = read_safetensors(half / "last.safetensors");
  CHECK(last.metadata.at("precision") == "bf16");
  for (const auto& [name, tensor] : last.tensors) {
    INFO(name);
    CHECK((tensor.dtype() == DType::float32 || tensor.dtype() == DType::int64));
  }
  const auto config = nlohmann::json::parse(file_bytes(half / "config.json"));
  CHECK(config["precision"] == "bf16");
}

TEST_CASE("every estimator but probes trains in bf16", "[trainer][bf16]") {
  const TempDir dir;
  for (const char* estimator : {"forward", "reverse", "detached"}) {
    INFO(estimator);
    const auto run = dir / estimator;
    TrainOptions o = options(run);
    o.max_steps = 2;
    CHECK(train(recipe("difficulty-net", {fmt::format("method.estimator={}", estimator)}), o, {}) ==
          TrainEnd::stopped_at_max_steps);
  }
  const std::string refused = error_of([&] {
    train(recipe("difficulty-net", {"method.estimator=finite-difference"}), options(dir / "f"), {});
  });
  CHECK(contains(refused, "estimator finite-difference cannot run in bf16"));
  CHECK_FALSE(std::filesystem::exists(dir / "f"));
}

TEST_CASE("a run is resumed in its own precision alone", "[trainer][bf16]") {
  const TempDir dir;
  TrainOptions o = options(dir / "run");
  o.max_steps = 1;
  train(recipe("supervised"), o, {});
  o.resume = true;
  for (Precision other : {Precision::float32, Precision::float64}) {
    o.precision = other;
    const std::string refused = error_of([&] { train(recipe("supervised"), o, {}); });
    CHECK(contains(refused, fmt::format("--precision differs: bf16 in the run, {} now",
                                        name_of(other))));
  }
}

TEST_CASE("the audit is in float64 whatever the run's precision", "[trainer][bf16]") {
  const Audit half = audit_training(recipe("difficulty-net"), options(""));
  const Audit wide = audit_training(recipe("difficulty-net"), options("", Precision::float64));
  INFO(half.table());
  CHECK(half.passed());
  CHECK(half.table() == wide.table());
}
