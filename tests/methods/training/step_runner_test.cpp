// Steps in graphs against steps one by one, through everything that comes between steps: epoch
// ends, accuracy refreshes, evaluations, checkpoints, resumes. Equal in every bit.
#include "methods/session/step_runner.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "methods/training/trainer.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/methods/tiny_data.h"
#include "tests/methods/training/run_files.h"
#include "tests/simt_device.h"

using namespace ek;

namespace {

// Eight steps with a warm-up; an evaluation after 4, checkpoints after 3 and 6.
Recipe recipe_of(const std::string& method, std::vector<std::string> sets = {}) {
  for (const char* set :
       {"schedule.length=8", "schedule.kind=cosine", "schedule.warmup=3", "eval.every=4"}) {
    sets.insert(sets.begin(), set);
  }
  return Recipe::resolve(tiny_recipe(method), "test", sets);
}

TrainOptions options(const std::string& data, const std::filesystem::path& out,
                     std::int64_t steps_per_graph, Precision precision = Precision::float32) {
  TrainOptions o;
  o.data = data;
  o.out = out.string();
  o.device = simt;
  o.precision = precision;
  o.steps_per_graph = steps_per_graph;
  return o;
}

// What two runs of the same recipe must have in common, whatever their graphs.
void require_same_run(const std::filesystem::path& a, const std::filesystem::path& b) {
  for (const char* file : {"last.safetensors", "best.safetensors", "manifest.json"}) {
    CAPTURE(file);
    REQUIRE(file_bytes(a / file) == file_bytes(b / file));
  }
  REQUIRE(metrics_of(a) == metrics_of(b));
  nlohmann::json x = json_of(a / "config.json"), y = json_of(b / "config.json");
  for (nlohmann::json* config : {&x, &y}) config->erase("steps_per_graph");
  REQUIRE(x == y);
  x = json_of(a / "summary.json"), y = json_of(b / "summary.json");
  for (const char* key : {"last", "best_on_test", "step", "class_figures"}) {
    REQUIRE(x.value(key, nlohmann::json()) == y.value(key, nlohmann::json()));
  }
}

void compare_graphs(const Recipe& recipe, Precision precision,
                    const std::vector<std::int64_t>& steps_per_graph) {
  const TempDir dir;
  const std::string data = tiny_data(dir);
  CHECK(train(recipe, options(data, dir / "eager", 0, precision), {}) == TrainEnd::finished);
  CHECK(metrics_of(dir / "eager").size() == std::size_t(recipe.schedule().length * 5 / 4));
  for (const std::int64_t steps : steps_per_graph) {
    CAPTURE(steps);
    const auto run = dir / std::to_string(steps);
    CHECK(train(recipe, options(data, run, steps, precision), {}) == TrainEnd::finished);
    CHECK(json_of(run / "config.json")["steps_per_graph"] == steps);
    require_same_run(run, dir / "eager");
  }
}

}  // namespace

TEST_CASE("plain training in graphs, stopped and resumed, has the bits of eager steps",
          "[simt][steps]") {
  if (!has_simt()) return;
  const TempDir dir;
  const std::string data = tiny_data(dir);
  const Recipe recipe = recipe_of("supervised");
  train(recipe, options(data, dir / "eager", 0), {});
  // Stopped by hand between two graphs, then on to the end with other graphs.
  TrainObserver observer;
  int asked = 0;
  observer.interrupted = [&] { return ++asked == 3; };
  CHECK(train(recipe, options(data, dir / "run", 2), observer) == TrainEnd::interrupted);
  CHECK(json_of(dir / "run" / "summary.json")["step"] == 3);
  TrainOptions rest = options(data, dir / "run", 3);
  rest.resume = true;
  CHECK(train(recipe, rest, {}) == TrainEnd::finished);
  CHECK(json_of(dir / "run" / "summary.json")["steps_per_graph"] == 3);
  require_same_run(dir / "run", dir / "eager");
}

TEST_CASE("so has Difficulty-Net training, with refreshes between its graphs", "[simt][steps]") {
  if (!has_simt()) return;
  compare_graphs(
      recipe_of("difficulty-net", {"method.accuracy_refresh=iterations:3", "schedule.length=4"}),
      Precision::float32, {2});
}

TEST_CASE("training does not depend on the steps to a graph", "[simt][steps][slow]") {
  if (!has_simt()) return;
  for (const char* method : {"supervised", "difficulty-net"}) {
    CAPTURE(method);
    compare_graphs(recipe_of(method), Precision::float32, {1, 3, 4});
    // Epochs of which the last batch has another size.
    std::vector<std::string> sets{"data.last_batch=keep"};
    if (std::string(method) != "supervised") sets.push_back("method.accuracy_refresh=epoch");
    compare_graphs(recipe_of(method, sets), Precision::bf16, {2});
  }
}

TEST_CASE("a loss that is no number is told of with its step, graph or not", "[simt][steps]") {
  if (!has_simt()) return;
  const TempDir dir;
  const std::string data = tiny_data(dir);
  const Recipe recipe = recipe_of("supervised", {"schedule.warmup=0", "optim.lr=1e30",
                                                 "schedule.kind=constant", "log.every=3"});
  const std::string error = error_of([&] { train(recipe, options(data, dir / "run", 2), {}); });
  CAPTURE(error);
  CHECK(contains(error, "training: the loss of step 3 is "));
  CHECK_FALSE(std::filesystem::exists(dir / "run" / "last.safetensors"));
}

TEST_CASE("the steps of a graph keep the weight packs that are made at its start",
          "[simt][steps]") {
  if (!has_simt()) return;
  const TempDir dir;
  const Experiment experiment(recipe_of("supervised"), tiny_data(dir), Precision::float32, simt);
  State state = experiment.initial_state();
  StepRunner runner(experiment, state, 0, {.steps_per_graph = 3});
  REQUIRE(runner.advance(8).size() == 1);  // eager
  CHECK(runner.graphs().empty());
  REQUIRE(runner.advance(2).size() == 1);  // too few for the other graph
  const auto results = runner.advance(8);
  REQUIRE(results.size() == 3);
  CHECK(results[2].step == 4);
  CHECK(std::isfinite(results[2].report.loss.item()));
  CHECK(results[2].report.loss.item() != results[1].report.loss.item());
  CHECK(runner.next_step() == 5);
  const auto graphs = runner.graphs();
  REQUIRE(graphs.size() == 2);
  const auto count = [](const Graph& graph, const std::string& name) {
    return std::ranges::count_if(graph.kernels(),
                                 [&](const std::string& kernel) { return contains(kernel, name); });
  };
  for (const Graph* graph : graphs) {
    CHECK(graph->kernels().front().starts_with("pack_all"));
    CHECK(count(*graph, "pack_all") == 1);
    CHECK(count(*graph, "conv_pack") == 0);  // one by one
  }
  // Beyond the packs each step is the same work: that of the graph of one.
  CHECK(graphs[0]->counts().kernels - 1 == 3 * (graphs[1]->counts().kernels - 1));
}

TEST_CASE("the two graphs of steps share their memory", "[simt][steps]") {
  if (!has_simt()) return;
  const TempDir dir;
  const Experiment experiment(recipe_of("supervised"), tiny_data(dir), Precision::float32, simt);
  State state = experiment.initial_state();
  const std::int64_t before = memory_stats(simt).graph_bytes;
  StepRunner runner(experiment, state, 0, {.steps_per_graph = 2});
  runner.advance(1);  // eager
  const Report of_two = runner.advance(2).back().report;
  REQUIRE(std::isfinite(of_two.loss.item()));
  const std::int64_t held = memory_stats(simt).graph_bytes - before;
  REQUIRE(held > 0);
  CHECK(std::isfinite(runner.advance(1).back().report.loss.item()));
  REQUIRE(runner.graphs().size() == 2);
  CHECK(memory_stats(simt).graph_bytes - before == held);
  CHECK(contains(error_of([&] { of_two.loss.item(); }), "a graph that shares the memory"));
  CHECK(std::isfinite(runner.advance(2).back().report.loss.item()));
  CHECK(std::isfinite(of_two.loss.item()));  // the same tensor, written anew
}

TEST_CASE("evaluation in graphs has the bits of eager evaluation on host images", "[simt][steps]") {
  if (!has_simt()) return;
  const TempDir dir;
  const Experiment experiment(recipe_of("supervised"), tiny_data(dir), Precision::float32, simt);
  State state = experiment.initial_state();
  StepRunner runner(experiment, state, 0, {});
  const ResidentImages images = make_resident(experiment.source.train, simt);
  constexpr std::int64_t chunk = 2;  // of 5 records: two replays, and one that is left over
  Evaluator eager(experiment, state, images, false, chunk),
      captured(experiment, state, images, true, chunk);
  const std::vector<std::int64_t> train{7, 0, 3, 3, 20}, test{5, 1, 2, 4, 0};
  std::vector<double> before;
  for (int step = 0; step < 2; ++step) {
    PredictOptions options = experiment.predict_options();
    options.chunk = chunk;
    const Predictions expected =
        predict([&](const Tensor& x) { return experiment.method->infer(state, x).logits(); },
                experiment.source.train, train, experiment.eval_transform, options);
    for (Evaluator* evaluator : {&eager, &captured}) {
      const Predictions got = evaluator->on_train(train);
      REQUIRE(got.logits == expected.logits);
      REQUIRE(got.labels == expected.labels);
    }
    REQUIRE(captured.on_test(test).logits == eager.on_test(test).logits);
    REQUIRE(captured.on_test(test).logits != expected.logits);
    REQUIRE(captured.meta_accuracy() == eager.meta_accuracy());
    REQUIRE(expected.logits != before);
    before = expected.logits;
    runner.advance(1);
  }
  CHECK(contains(error_of([&] { captured.on_test(std::vector<std::int64_t>{6}); }),
                 "evaluation: expected records below 6, got 6"));
}

TEST_CASE("steps to a graph that cannot be are refused by name", "[steps]") {
  const TempDir dir;
  const std::string data = tiny_data(dir);
  TrainOptions o = options(data, dir / "run", 4);
  o.device = {};
  const auto refused = [&](const Recipe& recipe) {
    return error_of([&] { train(recipe, o, {}); });
  };
  CHECK(contains(refused(recipe_of("supervised")), "--steps-per-graph: the cpu has no graphs"));
  CHECK_FALSE(std::filesystem::exists(dir / "run"));
  if (!has_simt()) return;
  o.device = simt;
  const Recipe probing = recipe_of("difficulty-net", {"method.estimator=finite-difference"});
  CHECK(contains(refused(probing),
                 "--steps-per-graph 4: this method's steps cannot be captured: "
                 "estimator finite-difference"));
  const Experiment experiment(probing, data, Precision::float32, simt);
  CHECK(steps_per_graph_for({}, simt, *experiment.method) == 0);
  CHECK(steps_per_graph_for(0, simt, *experiment.method) == 0);
  const Experiment plain(recipe_of("supervised"), data, Precision::float32, simt);
  CHECK(steps_per_graph_for({}, simt, *plain.method) == 8);
  CHECK(steps_per_graph_for(3, simt, *plain.method) == 3);
  CHECK(steps_per_graph_for({}, {}, *plain.method) == 0);
}
