// Run folders side by side: which are averaged, how rows are named, what is refused.
#include "methods/evaluation/text_table.h"
#include "tests/methods/comparison/run_folders.h"
#include "tests/methods/golden.h"

TEST_CASE("golden mean and sample deviation of five runs", "[runs]") {
  bool found = false;
  const auto file = golden("experts_metrics.json");
  for (const auto& entry : file["cases"]) {
    if (entry["name"] != "mean_std_five_runs") continue;
    found = true;
    const MeanStd got = mean_std(numbers(entry["inputs"]["runs"]));
    const auto& expected = entry["expected"];
    REQUIRE(worst_error({got.mean, got.std.value()}, {expected["mean"], expected["std_sample"]},
                        1) <= 1e-10);  // 12 digits of numbers near 100
  }
  REQUIRE(found);
  REQUIRE_FALSE(mean_std(std::vector<double>{3}).std.has_value());
  REQUIRE(contains(error_of([] { mean_std({}); }), "expected at least 1 value"));
}

TEST_CASE("means are over runs that are finished, distinct and equal but for the seed", "[runs]") {
  const TempDir dir;
  const json split = manifest({200, 50, 5}, "00ff");
  const auto run = [&](const std::string& name, double overall,
                       std::map<std::string, json> changes = {}) {
    return read_run(put_run(dir, name, {split, summary_of(overall), std::move(changes)}));
  };
  json begun = summary_of(0.1);
  begun["step"] = 5;
  const RunResult base = run("base", 0.4);
  RunResult other_precision = run("precise", 0.47, {{"seed", 6}});
  other_precision.settings.values["precision"] = "bf16";
  const Comparison c = compare({
      base,                                                            // [1]
      run("lr", 0.5, {{"optim.lr", 0.02}}),                            // [2]
      run("bs", 0.6, {{"loss.name", "balanced-softmax"}}),             // [3]
      read_run(put_run(dir, "begun", {split, begun, {{"seed", 3}}})),  // [4]
      base,                                                            // [5] the same folder
      run("copy", 0.4),                                                // [6] a copy of it
      run("again", 0.41),  // [7] its seed with other results
      run("seed1", 0.44, {{"seed", 1}, {"log.every", 7}, {"doc", "other words"}}),  // [8]
      other_precision,                                                              // [9]
  });
  const std::string table = comparison_table(c);
  INFO(table);
  REQUIRE(c.repeated == std::vector<Comparison::Indices>{{0, 7}});
  REQUIRE(words_of(table, "mean of 2: [1] [8]")[0] == "42.00");
  REQUIRE(words_of(table, "mean of 2: [1] [8]")[2] == "2.83");
  REQUIRE(words_of(table, "[2]")[1] == "optim.lr=0.02");
  REQUIRE(words_of(table, "[3]")[1] == "loss.name=balanced-softmax");
  REQUIRE(c.notes[3] == "unfinished, at step 5 of 600");
  REQUIRE(contains(table, "(unfinished, at step 5 of 600)"));
  REQUIRE(contains(table, "(the folder of [1])"));
  REQUIRE(contains(table, "(the run of [1])"));
  REQUIRE(contains(table, "(again the seed of [1])"));
  REQUIRE(words_of(table, "[9]")[1] == "precision=bf16");
  for (const std::string& line : lines_of(table)) REQUIRE(text_width(line) <= 100);
}

TEST_CASE("of two runs of one seed the finished one counts", "[runs]") {
  const TempDir dir;
  const json split = manifest({200, 50, 5}, "00ff");
  json begun = summary_of(0.1);
  begun["step"] = 5;
  const Comparison c =
      compare({read_run(put_run(dir, "begun", {split, begun})),
               read_run(put_run(dir, "done", {split, summary_of(0.4)})),
               read_run(put_run(dir, "other", {split, summary_of(0.5), {{"seed", 1}}}))});
  REQUIRE(c.repeated == std::vector<Comparison::Indices>{{1, 2}});
}

TEST_CASE("a method's own keys count where they are not at their defaults", "[runs]") {
  const TempDir dir;
  const json split = manifest({200, 50, 5}, "00ff");
  const auto settings = [&](std::map<std::string, json> changes) {
    return read_run(put_run(dir, "x", {split, summary_of(0.4), std::move(changes)})).settings;
  };
  const RunSettings ce = settings({});
  const RunSettings dn = settings({{"method.name", "difficulty-net"},
                                   {"method.lambda", 0.3},
                                   {"method.meta_batch", 7},
                                   {"seed", 2}});
  REQUIRE(differences(ce, dn) ==
          Words{"method.name=difficulty-net", "method.meta_batch=7", "seed=2"});
  REQUIRE(differences(dn, ce) == Words{"method.name=supervised", "seed=0"});
  REQUIRE_FALSE(same_but_for_seed(ce, dn));
  REQUIRE(differences(ce, settings({{"log.every", 3}, {"checkpoint.every", 5}})).empty());
}

TEST_CASE("runs are named by their folders below what they have in common", "[runs]") {
  const TempDir dir;
  const json split = manifest({200, 50, 5}, "00ff");
  const auto named = [&](std::vector<std::string> folders) {
    std::vector<RunResult> runs;
    for (const std::string& folder : folders) {
      put_run(dir, folder, {split, summary_of(0.4)});
      runs.push_back(read_run((dir / folder).string() + "/"));
    }
    return compare(std::move(runs)).names;
  };
  REQUIRE(named({"one"}) == Words{"one"});
  REQUIRE(named({"one", "two"}) == Words{"one", "two"});
  REQUIRE(named({"ce/seed0", "dn/seed0"}) == Words{"ce/seed0", "dn/seed0"});
  REQUIRE(named({"runs/a", "runs/a"}) == Words{"a", "a"});
}

TEST_CASE("runs of other data are refused in one line", "[runs]") {
  const TempDir dir;
  const json data = manifest({200, 50, 5}, "00ff");
  const auto message = [&](const json& other) {
    return error_of([&] {
      compare({read_run(put_run(dir, "a", {data, summary_of(0.4)})),
               read_run(put_run(dir, "b", {other, summary_of(0.4)}))});
    });
  };
  json renamed = data, folders = data, tested = data;
  renamed["class_names"] = {"0", "one", "2"};
  folders["data"]["format"] = "folders";
  tested["data"]["test_images"] = 31;
  REQUIRE(contains(message(renamed), "class 1 is 1 there, one here"));
  REQUIRE(contains(message(folders), "is of other data (folders, 3 classes)"));
  REQUIRE(contains(message(tested), "31 test images here, 30 there"));
  for (const json& other : {renamed, folders, tested}) {
    REQUIRE_FALSE(contains(message(other), "\n"));
  }
  REQUIRE(message(data).empty());
}

TEST_CASE("run folders that are none", "[runs]") {
  const TempDir dir;
  const json split = manifest({200, 50, 5}, "00ff");
  const auto message = [&](const json& manifest, const json& summary) {
    return error_of([&] { read_run(put_run(dir, "x", {manifest, summary})); });
  };
  REQUIRE(contains(error_of([&] { read_run(dir / "none"); }), "expected a run folder"));
  REQUIRE(contains(message(split, "text"), "summary.json: expected a JSON object"));
  REQUIRE(contains(message(json::object(), json::object()), "manifest"));
  REQUIRE(contains(message(split, {{"last", {{"overall", "x"}}}}), "last: expected an object"));
  REQUIRE(contains(message(split, {{"last", figures(0.4, {0.4})}}),
                   "last.per_class_recall: expected a list of 3 values"));
  REQUIRE(contains(message(split, {{"last", nullptr}}), "expected results of a finished run"));
  json weights = summary_of(0.4);
  weights["class_figures"] = {{"class_weight", {1, 2}}};
  REQUIRE(contains(message(split, weights), "class_weight: expected a list of 3 values"));
  REQUIRE(contains(message(split, {{"step", -1}}), "step: expected an integer of 0 or more"));
  // A run that has not been evaluated yet is no fault.
  const auto run = read_run(put_run(dir, "y", {split, {{"last", nullptr}, {"step", 0}}}));
  const std::string table = comparison_table(compare({run}));
  INFO(table);
  REQUIRE(contains(table, "(unfinished, at step 0 of 600)"));
  // Nor is one before its first checkpoint.
  std::filesystem::remove(dir / "y/summary.json");
  REQUIRE(
      contains(comparison_table(compare({read_run(dir / "y")})), "(unfinished, at step 0 of 600)"));
  std::filesystem::remove(dir / "y/config.json");
  REQUIRE(contains(error_of([&] { read_run(dir / "y"); }), "config.json"));
}
