// Runs that start from other runs: a second stage on a frozen network, a student of a teacher.
#include "methods/training/trainer.h"

#include "methods/session/checkpoint.h"
#include "methods/session/session.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/methods/tiny_data.h"
#include "tests/methods/training/run_files.h"
#include "tests/simt_device.h"

using namespace ek;

namespace {

Recipe recipe_of(const std::string& method, std::vector<std::string> sets = {}) {
  if (method == "dive") sets.push_back("loss.name=dive");
  sets.insert(sets.begin(), {"schedule.length=30", "checkpoint.every=7", "optim.lr=0.02"});
  return Recipe::resolve(tiny_recipe(method), "test", sets);
}

// A first stage in `dir`/stage1 on the data in `dir`.
struct FirstStage {
  TempDir dir;
  std::string data = tiny_data(dir);

  FirstStage() {
    train(recipe_of("supervised", {"loss.name=balanced-softmax"}), options("stage1", {}), {});
  }

  TrainOptions options(const std::string& out, const std::string& input, Device device = {}) const {
    TrainOptions o;
    o.data = data;
    o.out = (dir / out).string();
    o.device = device;
    if (!input.empty()) o.inputs = {{input, (dir / "stage1").string()}};
    return o;
  }

  // The losses of a run, in order.
  std::vector<double> losses(const std::string& out) const {
    std::vector<double> all;
    for (const nlohmann::json& line : metrics_of(dir / out)) {
      if (line["kind"] == "train") all.push_back(line["loss"]);
    }
    return all;
  }
};

double mean(const std::vector<double>& values, std::size_t begin, std::size_t end) {
  double sum = 0;
  for (std::size_t i = begin; i < end; ++i) sum += values.at(i);
  return sum / double(end - begin);
}

struct Case {
  std::string method, input;
};
const std::vector<Case> cases{{"classifier-stage", "stage1"}, {"dive", "teacher"}};

}  // namespace

TEST_CASE("runs from runs learn, and resume byte for byte", "[inputs]") {
  const FirstStage first;
  for (const auto& [method, input] : cases) {
    CAPTURE(method);
    const Recipe recipe = recipe_of(method);
    CHECK(train(recipe, first.options(method, input), {}) == TrainEnd::finished);
    const std::vector<double> losses = first.losses(method);
    REQUIRE(losses.size() == 30);
    CHECK(mean(losses, 20, 30) < mean(losses, 0, 10));

    TrainOptions stopped = first.options(method + "-resumed", input);
    stopped.max_steps = 11;
    CHECK(train(recipe, stopped, {}) == TrainEnd::stopped_at_max_steps);
    stopped.max_steps = -1;
    stopped.resume = true;
    CHECK(train(recipe, stopped, {}) == TrainEnd::finished);
    for (const char* file : {"last.safetensors", "best.safetensors"}) {
      CHECK(file_bytes(first.dir / method / file) ==
            file_bytes(first.dir / (method + "-resumed") / file));
    }
    const auto config = nlohmann::json::parse(file_bytes(first.dir / method / "config.json"));
    CHECK(config["inputs"][input]["hash"].get<std::string>().size() == 16);

    stopped.inputs.clear();
    CHECK(contains(error_of([&] { train(recipe, stopped, {}); }), "--input " + input));
  }
}

TEST_CASE("a second stage leaves the network as it was", "[inputs]") {
  const FirstStage first;
  train(recipe_of("classifier-stage"), first.options("crt", "stage1"), {});
  const auto before = read_safetensors(first.dir / "stage1" / "best.safetensors");
  const auto after = read_safetensors(first.dir / "crt" / "last.safetensors");
  int same = 0;
  for (const auto& [name, tensor] : before.tensors) {
    REQUIRE(after.find(name));
    const bool equal = after.find(name)->to_vector() == tensor.to_vector();
    CAPTURE(name);
    CHECK(equal != name.starts_with("linear."));
    same += equal;
  }
  CHECK(same > 20);
  // Momentum of the classifier alone: 64 x 3 weights and 3 biases.
  const Tensor* momentum = after.find("train.optim.model/momentum_buffer");
  REQUIRE(momentum);
  CHECK(momentum->numel() == 64 * 3 + 3);
}

TEST_CASE("captured steps of runs from runs have the bits of eager ones", "[inputs][simt]") {
  if (!has_simt()) return;
  const FirstStage first;
  for (const auto& [method, input] : cases) {
    CAPTURE(method);
    const Recipe recipe = recipe_of(method, {"schedule.length=6", "checkpoint.every=0"});
    TrainOptions eager = first.options(method + "-eager", input, simt);
    eager.steps_per_graph = 0;
    TrainOptions captured = first.options(method + "-graphs", input, simt);
    captured.steps_per_graph = 2;
    train(recipe, eager, {});
    train(recipe, captured, {});
    CHECK(file_bytes(first.dir / (method + "-eager") / "last.safetensors") ==
          file_bytes(first.dir / (method + "-graphs") / "last.safetensors"));
  }
}

TEST_CASE("runs from runs pass the audit", "[inputs]") {
  const FirstStage first;
  for (const auto& [method, input] : cases) {
    const Audit audit = audit_training(recipe_of(method), first.options("unused", input));
    INFO(method << "\n" << audit.table());
    CHECK(audit.passed());
  }
}

TEST_CASE("input runs that do not fit are refused by name", "[inputs]") {
  const FirstStage first;
  const auto refused = [&](const Recipe& recipe, const InputPaths& inputs) {
    TrainOptions o = first.options("refused", "");
    o.inputs = inputs;
    const std::string error = error_of([&] { train(recipe, o, {}); });
    CHECK_FALSE(std::filesystem::exists(first.dir / "refused"));
    return error;
  };
  const std::string run = (first.dir / "stage1").string();
  CHECK(contains(refused(recipe_of("dive"), {}), "there is no input run 'teacher'"));
  CHECK(contains(refused(recipe_of("supervised"), {{"teacher", run}}),
                 "method supervised takes no such run"));
  CHECK(contains(refused(recipe_of("dive", {"data.imbalance=1"}), {{"teacher", run}}),
                 "was trained on split"));
  CHECK(contains(refused(recipe_of("classifier-stage", {"model.name=resnet20"}), {{"stage1", run}}),
                 "is a resnet8, model.name is resnet20"));
  CHECK(contains(refused(recipe_of("dive"), {{"teacher", run + "/none"}}), "no checkpoint"));
  CHECK(contains(error_of([] { parse_inputs({"teacher"}); }), "expected NAME=RUN"));
  CHECK(contains(refused(recipe_of("supervised", {"loss.name=dive"}), {}),
                 "loss dive needs student_logits"));
}
