#include "methods/training/step_profile.h"

#include <nlohmann/json.hpp>

#include "methods/training/trainer.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/temp_dir.h"

using namespace ek;

namespace {

Recipe recipe() {
  const nlohmann::json json{
      {"data", {{"imbalance", 10}, {"n_max", 20}, {"meta_per_class", 4}, {"normalize", "half"}}},
      {"model", {{"name", "resnet8"}}},
      {"method", {{"name", "difficulty-net"}, {"meta_batch", 12}}},
      {"schedule", {{"unit", "iteration"}, {"length", 10}, {"kind", "constant"}}},
      {"optim", {{"lr", 0.05}}},
      {"batch_size", 16},
      {"eval", {{"every", 0}}}};
  return Recipe::resolve(json.dump(), "test");
}

std::size_t count(const nlohmann::json& trace, const std::string& name) {
  return std::size_t(std::ranges::count_if(trace.at("traceEvents"),
                                           [&](const auto& e) { return e.at("name") == name; }));
}

}  // namespace

TEST_CASE("a profiled run writes its tables and trace, and trains the same bits", "[profile]") {
  const TempDir dir;
  TrainOptions o;
  o.data = "synthetic:shapes";
  o.out = (dir / "plain").string();
  train(recipe(), o, {});
  o.out = (dir / "profiled").string();
  o.profile = (dir / "profile.txt").string();
  o.trace = (dir / "trace.json").string();
  train(recipe(), o, {});
  CHECK(!profiler_on());
  CHECK(file_bytes(dir / "plain" / "last.safetensors") ==
        file_bytes(dir / "profiled" / "last.safetensors"));

  const std::string text = file_bytes(dir / "profile.txt");
  CHECK(text.starts_with("test, resnet8, batch 16, float32"));
  for (const char* part :
       {"Ops, all 5 profiled steps", "Ops by shape, per step", "Layers, ms per step",
        "Totals, per step", "layer1.0.conv1", "difficulty_net", "loss", "wait_for_batch",
        "norm_conv_jvp", "tangent", "step without the profiler"}) {
    CAPTURE(part);
    CHECK(contains(text, part));
  }
  const auto trace = nlohmann::json::parse(file_bytes(dir / "trace.json"));
  CHECK(count(trace, "step") == std::size_t(StepProfile::default_steps));
  CHECK(count(trace, "sgd") == std::size_t(StepProfile::default_steps));
}

TEST_CASE("a loop that ends early still writes what it saw", "[profile]") {
  const TempDir dir;
  StepProfile profile({.title = "short", .profile = (dir / "p.txt").string(), .warmup = 1});
  for (int i = 0; i < 3; ++i) {
    profile.begin_step();
    { const ProfileScope scope("work"); }
    profile.end_step();
  }
  CHECK(!std::filesystem::exists(dir / "p.txt"));
  profile.finish();
  CHECK(contains(file_bytes(dir / "p.txt"), "Ops, all 2 profiled steps"));
  CHECK(!profiler_on());

  StepProfile off({});
  off.begin_step();
  CHECK(!profiler_on());
  off.end_step();
  off.finish();
  CHECK(dir.count() == 1);
}
