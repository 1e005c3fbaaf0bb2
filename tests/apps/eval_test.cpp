// What ek-eval makes of checkpoint files, and how programs end.
#include <unistd.h>

#include <cstdio>
#include <numeric>
#include <stdexcept>

#include "apps/common/cli.h"
#include "apps/eval/checkpoint.h"
#include "apps/eval/report.h"
#include "data/images/synthetic.h"
#include "data/manifest.h"
#include "data/pipelines.h"
#include "methods/session/checkpoint.h"
#include "models/registry.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/methods/model_state.h"
#include "tests/methods/tiny_data.h"
#include "tests/simt_device.h"

using namespace ek;

namespace {

// What f writes to stdout and stderr.
template <class F>
std::string captured(F&& f) {
  const TempDir dir;
  std::FILE* file = std::fopen((dir / "text").c_str(), "w");
  std::fflush(nullptr);
  const int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
  dup2(fileno(file), STDOUT_FILENO);
  dup2(fileno(file), STDERR_FILENO);
  f();
  std::fflush(nullptr);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  close(out);
  close(err);
  std::fclose(file);
  return file_bytes(dir / "text");
}

// The exit code and the output of a program with these arguments.
std::pair<int, std::string> run(std::vector<std::string> arguments,
                                const std::function<int()>& body) {
  std::vector<char*> argv{const_cast<char*>("program")};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  CLI::App app("A program.");
  CommonOptions common;
  add_common_options(app, common, "seed");
  int code = -1;
  std::string text =
      captured([&] { code = run_program(int(argv.size()), argv.data(), app, body); });
  return {code, text};
}

using Metadata = SafetensorsMetadata;

// A resnet8 for the ten classes of the synthetic shapes, with what the trainer says about it.
struct Fixture {
  Fixture() {
    recipe = Recipe::resolve(R"({"data": {"imbalance": 10, "meta_per_class": 2},
                                 "model": {"name": "resnet8"}})",
                             "test");
    split = make_split(source.train, 10, recipe->split());
    metadata = {{"recipe", recipe->json().dump()},
                {"manifest", manifest_json(source, split).dump()},
                {"precision", "float32"},
                {"step", "12"}};
  }
  std::string put(const std::string& name, const Metadata& about) const {
    const ModelState state{model->init(3), model->initial_buffers()};
    write_safetensors(dir / name, model_tensors(state), about);
    return (dir / name).string();
  }

  TempDir dir;
  DataSource source = make_synthetic("shapes", 0, {.train_per_class = 30, .test_per_class = 4});
  std::unique_ptr<const Model> model = make_model("resnet8", 10);
  std::optional<Recipe> recipe;
  Split split;
  Metadata metadata;
};

}  // namespace

TEST_CASE("a trainer's checkpoint knows its recipe, split and precision", "[eval]") {
  const Fixture f;
  const EvalCheckpoint checkpoint(f.put("best.safetensors", f.metadata), {});
  REQUIRE(checkpoint.recipe().has_value());
  REQUIRE(checkpoint.class_counts() == f.split.class_counts);
  REQUIRE(checkpoint.step() == 12);
  REQUIRE(contains(checkpoint.title(), "(resnet8, supervised, cross-entropy, step 12)"));
  REQUIRE(checkpoint.split_of(f.source).meta_index == f.split.meta_index);
  // A run folder stands for its best.safetensors.
  REQUIRE(EvalCheckpoint(f.dir.path().string(), {}).file() == checkpoint.file());

  std::vector<std::int64_t> records(40);
  std::iota(records.begin(), records.end(), 0);
  const auto result = checkpoint.run(f.source, f.source.test, records, true, {});
  const Params params = f.model->init(3), buffers = f.model->initial_buffers();
  const Predictions direct = predict(
      [&](const Tensor& x) { return f.model->forward(params, buffers, x, Mode::eval).logits; },
      f.source.test, records, eval_spec("cifar-basic", "", 32, 32));
  REQUIRE(result.predictions.logits == direct.logits);
  REQUIRE(result.predictions.labels == f.source.test.labels);
  REQUIRE(result.features.size() == 40 * 64);
}

TEST_CASE("on a device a checkpoint runs in graphs, with the bits of eager chunks from the host",
          "[eval][simt]") {
  if (!has_simt()) return;
  const TempDir dir;
  const DataSource source = load_source(tiny_data(dir));
  const Recipe recipe = Recipe::resolve(tiny_recipe("supervised"), "test");
  const auto model = make_model("resnet8", 3);
  const ModelState state{model->init(3), model->initial_buffers()};
  const Split split = make_split(source.train, 3, recipe.split());
  write_safetensors(dir / "m", model_tensors(state),
                    {{"recipe", recipe.json().dump()},
                     {"manifest", manifest_json(source, split).dump()},
                     {"precision", "float32"}});
  const EvalCheckpoint checkpoint((dir / "m").string(), {}, simt);
  const std::vector<std::int64_t> records{5, 0, 3, 1, 2};
  PredictOptions options{.chunk = 2, .device = simt};  // two replays, and one image left over
  const ModelState there = state.to(simt);
  const PredictedFeatures expected = predict_with_features(
      [&](const Tensor& x) {
        const ModelOutput out = model->forward(there.params, there.buffers, x, Mode::eval);
        return LogitsAndFeatures{out.logits, out.features};
      },
      source.test, records, eval_spec("cifar-basic", "half", 8, 8), options);

  const std::int64_t graph_bytes = memory_stats(simt).graph_bytes;
  int chunks = 0;
  options.progress = [&](std::int64_t, std::int64_t) {
    ++chunks;
    REQUIRE(memory_stats(simt).graph_bytes > graph_bytes);
  };
  for (const bool with_features : {true, false}) {
    const auto got = checkpoint.run(source, source.test, records, with_features, options);
    REQUIRE(got.predictions.logits == expected.predictions.logits);
    REQUIRE(got.predictions.labels == expected.predictions.labels);
    REQUIRE(got.features == (with_features ? expected.features : std::vector<double>()));
  }
  REQUIRE(chunks == 6);
  REQUIRE(memory_stats(simt).graph_bytes == graph_bytes);
}

TEST_CASE("a checkpoint of another split is refused", "[eval]") {
  Fixture f;
  auto manifest = nlohmann::json::parse(f.metadata["manifest"]);
  manifest["hash"] = "0123456789abcdef";
  f.metadata["manifest"] = manifest.dump();
  const EvalCheckpoint checkpoint(f.put("m.safetensors", f.metadata), {});
  REQUIRE(contains(error_of([&] { checkpoint.split_of(f.source); }),
                   "was trained on split 0123456789abcdef, but its recipe cuts split"));
}

TEST_CASE("a foreign checkpoint is known by its tensors alone", "[eval]") {
  const Fixture f;
  const EvalCheckpoint checkpoint(f.put("m.safetensors", {}), {});
  REQUIRE(checkpoint.model().name() == "resnet8");
  REQUIRE(checkpoint.model().num_classes() == 10);
  REQUIRE(checkpoint.class_counts().empty());
  REQUIRE(contains(error_of([&] { checkpoint.split_of(f.source); }), "has no recipe and manifest"));
}

TEST_CASE("metadata that cannot be believed", "[eval]") {
  const Fixture f;
  const auto message = [&](const std::string& key, const std::string& text) {
    Metadata about = f.metadata;
    about[key] = text;
    const std::string file = f.put("m.safetensors", about);
    const std::string error = error_of([&] { EvalCheckpoint(file, {}); });
    REQUIRE(contains(error, "m.safetensors"));
    REQUIRE_FALSE(contains(error, "\n"));
    return error;
  };
  message("recipe", "[[[");
  message("recipe", R"({"modle": {}})");
  message("manifest", "{}");
  REQUIRE(contains(message("manifest", "[1"), "expected a JSON object"));
  REQUIRE(contains(message("step", "12x"), "expected a number"));
  REQUIRE(contains(message("precision", "float8"), "precision float8"));
  REQUIRE(contains(message("recipe", R"({"model": {"name": "resnet20"}})"),
                   "does not fit model resnet20"));
}

TEST_CASE("the report says what its figures do not cover", "[eval]") {
  const Predictions p{3, {1, 0, 0, 1, 0, 0, 0, 0, 1}, {0, 0, 2}};
  EvalReport report;
  report.split = "test";
  report.class_names = {"a", "b", "c"};
  EvalFigures figures;
  figures.title = "t";
  figures.about = {{"file", "f"}};
  figures.metrics = compute_metrics(p, {});
  figures.shifts.push_back({parse_shift("forward:2"), 3, 0.5, 0.25});
  report.checkpoints.push_back(figures);
  const std::string plain = to_text(report);
  REQUIRE(contains(plain, "classes without images, left out of all means: b"));
  REQUIRE(contains(plain, "the training counts are not known: no groups"));
  REQUIRE_FALSE(contains(plain, "not balanced"));
  REQUIRE_FALSE(contains(plain, "25.00"));

  report.checkpoints[0].metrics = compute_metrics({3, p.logits, {0, 2, 2}}, {200, 50, 5});
  report.checkpoints[0].corrected = report.checkpoints[0].metrics;
  const std::string corrected = to_text(report);
  REQUIRE(contains(corrected, "the set is not balanced"));
  REQUIRE_FALSE(contains(corrected, "no groups"));
  REQUIRE(contains(corrected, "25.00"));

  const auto json = to_json(report);
  REQUIRE(json["images"] == 3);
  REQUIRE(json["checkpoints"][0]["file"] == "f");
  REQUIRE(json["checkpoints"][0]["metrics"]["medium"].is_null());
  REQUIRE(json["checkpoints"][0]["shifts"][0]["overall_prior_corrected"] == 0.25);
}

TEST_CASE("how programs end", "[eval]") {
  REQUIRE(run({}, [] { return 0; }) == std::pair(0, std::string()));
  REQUIRE(run({}, [] { return 130; }).first == 130);
  const auto help = run({"--help"}, [] { return 1; });
  REQUIRE(help.first == 0);
  REQUIRE(contains(help.second, "--threads"));
  REQUIRE(run({}, []() -> int { fail("a\nb"); }) == std::pair(2, std::string("error: a b\n")));
  REQUIRE(run({}, []() -> int { throw std::logic_error("x"); }) ==
          std::pair(1, std::string("internal error: x\n")));
  for (const std::vector<std::string>& wrong : {std::vector<std::string>{"--nonsense"},
                                                {"--threads", "x"},
                                                {"--threads", "-1"},
                                                {"--device", "tpu"},
                                                {"--seed", "-"}}) {
    const auto [code, text] = run(wrong, [] { return 0; });
    INFO(wrong[0] << ": " << text);
    REQUIRE(code == 2);
    REQUIRE(text.starts_with("error: "));
    REQUIRE(text.find('\n') == text.size() - 1);
  }
}
