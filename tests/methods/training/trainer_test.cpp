// Whole training runs on a few images: determinism, resume, run folder, faults.
#include "methods/training/trainer.h"

#include <nlohmann/json.hpp>

#include "engine/io/safetensors.h"
#include "engine/tensor/device.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/temp_dir.h"

using namespace ek;

namespace {

// Small in every respect: ResNet-8, 20 steps of 16 images, a split of a few dozen images.
nlohmann::json small(const std::string& method) {
  return {
      {"data", {{"imbalance", 10}, {"n_max", 20}, {"meta_per_class", 4}, {"normalize", "half"}}},
      {"model", {{"name", "resnet8"}}},
      {"method", {{"name", method}}},
      {"optim", {{"lr", 0.05}, {"momentum", 0.9}, {"weight_decay", 1e-4}}},
      {"schedule", {{"unit", "iteration"}, {"length", 20}, {"kind", "constant"}}},
      {"batch_size", 16},
      {"eval", {{"every", 0}}},
      {"checkpoint", {{"every", 7}}},
      {"log", {{"every", 1}}}};
}

Recipe difficulty_net(const std::vector<std::string>& sets = {}) {
  nlohmann::json json = small("difficulty-net");
  json["method"]["meta_batch"] = 12;
  json["method"]["accuracy_refresh"] = "iterations:6";
  return Recipe::resolve(json.dump(), "test", sets);
}

Recipe supervised(const std::vector<std::string>& sets = {}) {
  return Recipe::resolve(small("supervised").dump(), "test", sets);
}

TrainOptions options(const std::filesystem::path& out) {
  TrainOptions o;
  o.data = "synthetic:shapes";
  o.out = out.string();
  return o;
}

// The lines of metrics.jsonl without what the clock says.
std::string metrics(const std::filesystem::path& run) {
  std::ifstream stream(run / "metrics.jsonl");
  std::string text, line;
  while (std::getline(stream, line)) {
    auto json = nlohmann::json::parse(line);
    json.erase("wall_s");
    text += json.dump() + "\n";
  }
  return text;
}

nlohmann::json summary(const std::filesystem::path& run) {
  return nlohmann::json::parse(file_bytes(run / "summary.json"));
}

void require_same_run(const std::filesystem::path& a, const std::filesystem::path& b) {
  CHECK(file_bytes(a / "last.safetensors") == file_bytes(b / "last.safetensors"));
  CHECK(file_bytes(a / "best.safetensors") == file_bytes(b / "best.safetensors"));
  CHECK(metrics(a) == metrics(b));
}

}  // namespace

TEST_CASE("a Difficulty-Net run is the same byte for byte after stops and resumes", "[trainer]") {
  const TempDir dir;
  CHECK(train(difficulty_net(), options(dir / "straight"), {}) == TrainEnd::finished);

  TrainOptions first = options(dir / "resumed");
  first.max_steps = 10;
  CHECK(train(difficulty_net(), first, {}) == TrainEnd::stopped_at_max_steps);
  CHECK(summary(dir / "resumed")["step"] == 10);
  CHECK(summary(dir / "resumed")["finished"] == false);
  TrainOptions rest = options(dir / "resumed");
  rest.resume = true;
  CHECK(train(difficulty_net(), rest, {}) == TrainEnd::finished);
  CHECK(summary(dir / "resumed")["step"] == 20);
  require_same_run(dir / "straight", dir / "resumed");

  // Interrupted by a signal, between the checkpoints of the recipe.
  int asked = 0;
  TrainObserver impatient;
  impatient.interrupted = [&] { return ++asked == 14; };
  CHECK(train(difficulty_net(), options(dir / "interrupted"), impatient) == TrainEnd::interrupted);
  rest.out = (dir / "interrupted").string();
  CHECK(train(difficulty_net(), rest, {}) == TrainEnd::finished);
  require_same_run(dir / "straight", dir / "interrupted");
}

TEST_CASE("a run has the same bits for 1, 2 and 4 threads and any prefetch", "[trainer]") {
  const TempDir dir;
  const int before = thread_count();
  for (const int threads : {1, 2, 4}) {
    set_threads(threads);
    TrainOptions o = options(dir / std::to_string(threads));
    o.prefetch = threads - 1;
    train(difficulty_net(), o, {});
  }
  set_threads(before);
  require_same_run(dir / "1", dir / "2");
  require_same_run(dir / "1", dir / "4");
}

TEST_CASE("every estimator trains, and the loss falls", "[trainer]") {
  const TempDir dir;
  for (const char* estimator : {"forward", "reverse", "finite-difference", "detached"}) {
    INFO(estimator);
    const auto run = dir / estimator;
    train(difficulty_net({fmt::format("method.estimator={}", estimator)}), options(run), {});
    std::ifstream stream(run / "metrics.jsonl");
    std::vector<double> losses;
    for (std::string line; std::getline(stream, line);) {
      const auto json = nlohmann::json::parse(line);
      if (json["kind"] == "train") losses.push_back(json["loss"]);
    }
    REQUIRE(losses.size() == 20);
    const double early = losses[0] + losses[1] + losses[2];
    const double late = losses[17] + losses[18] + losses[19];
    CHECK(late < early);
    const auto figures = summary(run)["class_figures"]["class_weight"];
    REQUIRE(figures.size() == 10);
    double sum = 0;
    for (const auto& value : figures) sum += double(value);
    CHECK(std::abs(sum - 10) <= 1e-4);  // float32 weights of mean 1
  }
}

TEST_CASE("plain training learns, and its run folder holds what is promised", "[trainer]") {
  const TempDir dir;
  const auto run = dir / "run";
  const std::vector<std::string> longer{"schedule.length=60", "eval.every=30"};
  train(supervised(longer), options(run), {});
  for (const char* name : {"config.json", "manifest.json", "metrics.jsonl", "last.safetensors",
                           "best.safetensors", "summary.json"}) {
    CHECK(std::filesystem::exists(run / name));
  }
  const auto result = summary(run);
  for (const char* key : {"overall", "many", "medium", "few", "per_class_recall", "geometric_mean",
                          "harmonic_mean", "lowest_recall", "ece", "step"}) {
    CHECK(result["last"].contains(key));
  }
  CHECK(double(result["last"]["overall"]) > 0.15);  // ten classes: chance is 0.1
  CHECK(result["best_by_validation"].is_object());
  CHECK(double(result["best_on_test"]["overall"]) >= double(result["last"]["overall"]));
  CHECK(result["best_on_test"]["step"].get<int>() % 30 == 0);
  const auto last = read_safetensors(run / "last.safetensors");
  CHECK(last.find("train.optim.model/momentum_buffer") != nullptr);
  CHECK(last.find("conv1.weight")->shape() == Shape{16, 3, 3, 3});
  const auto best = read_safetensors(run / "best.safetensors");
  CHECK(best.find("train.optim.model/momentum_buffer") == nullptr);
  CHECK(best.metadata.contains("recipe"));
}

TEST_CASE("nothing held out: no best by validation", "[trainer]") {
  const TempDir dir;
  train(supervised({"data.meta_per_class=0"}), options(dir / "run"), {});
  CHECK(summary(dir / "run")["best_by_validation"].is_null());
  CHECK(read_safetensors_metadata(dir / "run" / "best.safetensors")["selected_by"] == "last");
}

TEST_CASE("starting weights come from a file", "[trainer]") {
  const TempDir dir;
  TrainOptions o = options(dir / "first");
  o.max_steps = 2;
  train(supervised(), o, {});
  TrainOptions next = options(dir / "second");
  next.init = (dir / "first" / "best.safetensors").string();
  next.max_steps = 0;
  train(supervised(), next, {});
  const auto a = read_safetensors(dir / "first" / "last.safetensors");
  const auto b = read_safetensors(dir / "second" / "last.safetensors");
  CHECK(a.find("layer1.0.conv1.weight")->to_vector() ==
        b.find("layer1.0.conv1.weight")->to_vector());
}

TEST_CASE("faults of a run end in one line and leave nothing half written", "[trainer]") {
  const TempDir dir;
  TrainOptions o = options(dir / "run");
  o.max_steps = 1;
  train(supervised(), o, {});
  const std::string stored = file_bytes(dir / "run" / "last.safetensors");

  CHECK(contains(error_of([&] { train(supervised(), o, {}); }), "the folder is not empty"));
  o.resume = true;
  CHECK(contains(error_of([&] { train(supervised({"optim.lr=0.5"}), o, {}); }),
                 "--resume: recipe differs in optim.lr: 0.05 in the run, 0.5 now"));
  CHECK(contains(error_of([&] { train(supervised({"data.imbalance=5"}), o, {}); }), "--resume"));
  o.precision = Precision::float64;
  CHECK(contains(error_of([&] { train(supervised(), o, {}); }), "--precision differs"));
  o.precision = Precision::float32;
  CHECK(file_bytes(dir / "run" / "last.safetensors") == stored);

  put_file(dir / "run" / "last.safetensors", stored.substr(0, stored.size() / 2));
  CHECK(contains(error_of([&] { train(supervised(), o, {}); }), "last.safetensors"));

  TrainOptions missing = options(dir / "none");
  missing.resume = true;
  CHECK(contains(error_of([&] { train(supervised(), missing, {}); }), "is not a run folder"));
  CHECK_FALSE(std::filesystem::exists(dir / "none"));

  put_file(dir / "file", "x");
  CHECK(
      contains(error_of([&] { train(supervised(), options(dir / "file"), {}); }), "it is a file"));
  CHECK(
      contains(error_of([&] { train(supervised(), options(dir / "file" / "run"), {}); }), "--out"));

  const std::string diverged =
      error_of([&] { train(supervised({"optim.lr=1e30"}), options(dir / "diverged"), {}); });
  CHECK(contains(diverged, "training: the loss of step"));
  CHECK(contains(error_of([&] { difficulty_net({"data.meta_per_class=0"}); }),
                 "data.meta_per_class"));
}

TEST_CASE("the audit passes for every method and estimator", "[trainer]") {
  const TrainOptions o = options("");
  CHECK(audit_training(supervised(), o).passed());
  for (const char* estimator : {"forward", "reverse", "detached"}) {
    const Audit audit =
        audit_training(difficulty_net({fmt::format("method.estimator={}", estimator)}), o);
    INFO(audit.table());
    CHECK(audit.passed());
  }
}
