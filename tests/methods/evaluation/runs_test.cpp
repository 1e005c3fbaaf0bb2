// Repeated runs and the tables of run folders.
#include "methods/evaluation/runs.h"

#include <cmath>
#include <iterator>
#include <sstream>

#include "methods/evaluation/text_table.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/methods/golden.h"
#include "tests/temp_dir.h"

using namespace ek;
using nlohmann::json;

namespace {

json manifest(const std::vector<std::int64_t>& counts, const std::string& hash) {
  return {{"data", {{"name", "d"}, {"format", "synthetic"}}},
          {"split",
           {{"profile", "exponential"},
            {"imbalance", 100},
            {"n_max", 500},
            {"subset", "ldam"},
            {"subset_seed", 0},
            {"meta_per_class", 10}}},
          {"counts", counts},
          {"meta_total", 30},
          {"hash", hash}};
}

json figures(double overall, const std::vector<double>& recalls) {
  return {{"overall", overall},
          {"many", overall + 0.1},
          {"medium", overall},
          {"few", nullptr},
          {"per_class_recall", recalls}};
}

std::filesystem::path put_run(const TempDir& dir, const std::string& name, const json& manifest,
                              const json& summary) {
  put_file(dir / name / "manifest.json", manifest.dump());
  put_file(dir / name / "summary.json", summary.dump());
  return dir / name;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    lines.push_back(text.substr(begin, end - begin));
  }
  return lines;
}

// The words of the line that starts with `first`, after it.
std::vector<std::string> words_of(const std::string& text, const std::string& first) {
  for (const std::string& line : lines_of(text)) {
    if (!line.starts_with(first)) continue;
    std::istringstream stream(line.substr(first.size()));
    return {std::istream_iterator<std::string>(stream), {}};
  }
  return {};
}

using Words = std::vector<std::string>;
const std::string none = "–", pm = "±";

}  // namespace

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

TEST_CASE("runs of one split in one table", "[runs]") {
  const TempDir dir;
  const json split = manifest({200, 50, 5}, "00ff");
  const json first{{"recipe", "set/ce"},
                   {"last", figures(0.41, {0.9, 0.3, 0.03})},
                   {"best_by_validation", figures(0.43, {0.9, 0.3, 0.09})},
                   {"best_on_test", figures(0.44, {0.9, 0.3, 0.12})}};
  const json second{{"recipe", "set/ce"}, {"last", figures(0.45, {0.9, 0.3, 0.15})}};
  const json third{{"recipe", "set/dn"},
                   {"last", figures(0.5, {0.8, 0.4, 0.3})},
                   {"class_figures", {{"class_weight", {0.5, 1.0, 1.5}}}}};
  const std::vector<RunResult> runs{read_run(put_run(dir, "a", split, first)),
                                    read_run(put_run(dir, "b", split, second)),
                                    read_run(put_run(dir, "c", split, third))};

  const std::string table = comparison_table(runs);
  INFO(table);
  REQUIRE(words_of(table, "[1]") ==
          Words{"set/ce", "41.00", "51.00", "41.00", none, "43.00", "44.00"});
  REQUIRE(words_of(table, "[2]") == Words{"set/ce", "45.00", "55.00", "45.00", none, none, none});
  REQUIRE(words_of(table, "[3]") == Words{"set/dn", "50.00", "60.00", "50.00", none, none, none});
  // 41 and 45: mean 43, deviation 4 / sqrt(2).
  REQUIRE(words_of(table, "     set/ce, mean of 2") ==
          Words{"43.00", pm, "2.83", "53.00", pm, "2.83", "43.00", pm, "2.83", none, none, none});
  REQUIRE(contains(table, "split 00ff"));

  const std::string classes = class_table(runs);
  INFO(classes);
  REQUIRE(words_of(classes, "1 ") == Words{"50", "30.00", "30.00", "40.00", "1.000"});
  REQUIRE(words_of(classes, "2 ") == Words{"5", "3.00", "15.00", "30.00", "1.500"});

  const json object = to_json(runs);
  REQUIRE(object["runs"].size() == 3);
  REQUIRE(object["repeated"][0]["name"] == "set/ce");
  REQUIRE(std::abs(object["repeated"][0]["mean"].get<double>() - 0.43) <= 1e-15);
}

TEST_CASE("runs of different splits are refused in one line", "[runs]") {
  const TempDir dir;
  const json summary{{"recipe", "r"}, {"last", figures(0.4, {0.4, 0.4, 0.4})}};
  const auto a = read_run(put_run(dir, "a", manifest({200, 50, 5}, "00ff"), summary));
  const auto b = read_run(put_run(dir, "b", manifest({200, 50, 5}, "00fe"), summary));
  for (const auto& table : {&comparison_table, &class_table}) {
    const std::string message = error_of([&] { (*table)(std::vector{a, b}); });
    REQUIRE(contains(message, "has split 00ff"));
    REQUIRE(contains(message, "has split 00fe"));
    REQUIRE_FALSE(contains(message, "\n"));
  }
  REQUIRE_FALSE(error_of([&] { to_json(std::vector{a, b}); }).empty());
}

TEST_CASE("many classes: groups and the extreme weights", "[runs]") {
  const TempDir dir;
  std::vector<std::int64_t> counts;
  std::vector<double> recalls, weights, difficulty;
  for (int c = 0; c < 30; ++c) {
    counts.push_back(c < 10 ? 200 : c < 20 ? 50 : 10);
    recalls.push_back(c < 10 ? 0.9 : c < 20 ? 0.5 : 0.1);
    weights.push_back(0.1 * ((c * 7) % 30));  // 7 and 30 share no factor: all different
    difficulty.push_back(0.25);
  }
  json split = manifest(counts, "aa");
  split["difficulty"] = difficulty;
  std::vector<std::string> names;
  for (int c = 0; c < 30; ++c) names.push_back(fmt::format("class{}.", c));
  split["class_names"] = names;
  const json summary{{"recipe", "r"},
                     {"last", figures(0.5, recalls)},
                     {"class_figures", {{"class_weight", weights}}}};
  const std::vector<RunResult> runs{read_run(put_run(dir, "a", split, summary))};
  const std::string table = class_table(runs);
  INFO(table);
  const auto lines = lines_of(table);
  REQUIRE(words_of(table, "many, mean of 10")[2] == "90.00");
  REQUIRE(words_of(table, "few, mean of 10")[0] == "10.0");
  // 7 c mod 30 = 29 at c = 17 and 0 at c = 0.
  REQUIRE(lines[6].starts_with("class17. "));
  REQUIRE(lines.back().starts_with("class0. "));
  REQUIRE(words_of(table, "class17.") == Words{"50", "0.25", "50.00", "2.900"});
  REQUIRE(lines.size() == 2 + 3 + 1 + 10 + 1 + 10);
  for (const std::string& line : lines) REQUIRE(text_width(line) <= 100);
}

TEST_CASE("more runs than a terminal holds", "[runs]") {
  const TempDir dir;
  const json summary{{"recipe", "r"}, {"last", figures(0.4, {0.4, 0.4, 0.4})}};
  const RunResult run = read_run(put_run(dir, "a", manifest({200, 50, 5}, "00ff"), summary));
  const std::string table = class_table(std::vector<RunResult>(12, run));
  INFO(table);
  REQUIRE(contains(table, "are left out"));
  for (const std::string& line : lines_of(table)) REQUIRE(text_width(line) <= 100);
}

TEST_CASE("run folders that are none", "[runs]") {
  const TempDir dir;
  const json split = manifest({200, 50, 5}, "00ff");
  const auto message = [&](const json& manifest, const json& summary) {
    return error_of([&] { read_run(put_run(dir, "x", manifest, summary)); });
  };
  REQUIRE(contains(error_of([&] { read_run(dir / "none"); }), "expected a run folder"));
  REQUIRE(contains(message(split, "text"), "summary.json: expected a JSON object"));
  REQUIRE(contains(message(json::object(), json::object()), "manifest"));
  REQUIRE(contains(message(split, {{"last", {{"overall", "x"}}}}), "last: expected an object"));
  REQUIRE(contains(message(split, {{"last", figures(0.4, {0.4})}}),
                   "last.per_class_recall: expected a list of 3 values"));
  REQUIRE(contains(message(split, {{"class_figures", {{"class_weight", {1, 2}}}}}),
                   "class_weight: expected a list of 3 values"));
  // A run that has not been evaluated yet is no fault.
  const auto run = read_run(put_run(dir, "y", split, {{"last", nullptr}}));
  REQUIRE(run.name == "y");
  REQUIRE(words_of(comparison_table(std::vector{run}), "[1]")[1] == "–");
}

TEST_CASE("text that is wider in bytes than in characters", "[runs]") {
  REQUIRE(text_width("–±é") == 3);
  REQUIRE(shortened("éclair", 4) == "écl…");
  REQUIRE(shortened("éclair", 6) == "éclair");
  TextTable table({"name", "n"});
  table.add({"é", "–"});
  table.add({"plain", "12"});
  REQUIRE(table.str() == "name    n\n---------\né       –\nplain  12\n");
}
