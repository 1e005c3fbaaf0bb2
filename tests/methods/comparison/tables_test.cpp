// What the tables of a comparison say.
#include <cmath>

#include "methods/evaluation/text_table.h"
#include "tests/methods/comparison/run_folders.h"

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
  const Comparison c =
      compare({read_run(put_run(dir, "a", {split, first})),
               read_run(put_run(dir, "b", {split, second, {{"seed", 1}}})),
               read_run(put_run(dir, "c", {split, third, {{"method.name", "difficulty-net"}}}))});

  const std::string table = comparison_table(c);
  INFO(table);
  REQUIRE(words_of(table, "[1]") ==
          Words{"a", "set/ce", "41.00", "51.00", "41.00", none, "43.00", "44.00"});
  REQUIRE(words_of(table, "[2]") ==
          Words{"b", "seed=1", "45.00", "55.00", "45.00", none, none, none});
  REQUIRE(words_of(table, "[3]") ==
          Words{"c", "method.name=difficulty-net", "50.00", "60.00", "50.00", none, none, none});
  // 41 and 45: mean 43, deviation 4 / sqrt(2).
  REQUIRE(words_of(table, "mean of 2: [1] [2]") ==
          Words{"43.00", pm, "2.83", "53.00", pm, "2.83", "43.00", pm, "2.83", none, none, none});
  REQUIRE(contains(table, "split 00ff: exponential, imbalance 100, 10 held out per class\n"));
  REQUIRE(split_table(c).empty());

  const std::string classes = class_table(c, c.splits[0]);
  INFO(classes);
  REQUIRE(words_of(classes, "1 ") == Words{"50", "30.00", "30.00", "40.00", "1.000"});
  REQUIRE(words_of(classes, "2 ") == Words{"5", "3.00", "15.00", "30.00", "1.500"});

  const json object = to_json(c);
  REQUIRE(object["runs"].size() == 3);
  REQUIRE(object["runs"][1]["differs"] == json{"seed=1"});
  REQUIRE(object["repeated"].size() == 1);
  REQUIRE(object["repeated"][0]["runs"] == json{0, 1});
  REQUIRE(std::abs(object["repeated"][0]["mean"].get<double>() - 0.43) <= 1e-15);
}

TEST_CASE("a long label is written out once", "[runs]") {
  const TempDir dir;
  const json split = manifest({200, 50, 5}, "00ff");
  const auto run = [&](const std::string& name, std::map<std::string, json> changes) {
    return read_run(put_run(dir, name, {split, summary_of(0.4), std::move(changes)}));
  };
  const json dn = "difficulty-net";
  const Comparison c =
      compare({run("ce", {}), run("dn", {{"method.name", dn}, {"optim.lr", 0.5}}),
               run("dn1", {{"method.name", dn}, {"optim.lr", 0.5}, {"seed", 1}}),
               run("lr", {{"optim.lr", 0.2}}), run("lr1", {{"optim.lr", 0.2}, {"seed", 1}}),
               run("long", {{"data.augment", "a-name-that-is-longer-than-it"}})});
  const std::string table = comparison_table(c);
  INFO(table);
  REQUIRE(words_of(table, "[2]")[1] == "method.name=difficulty-net");
  REQUIRE(contains(table, "  optim.lr=0.5\n"));
  REQUIRE(contains(table, "dn1   as [2] seed=1 "));
  REQUIRE(contains(table, "lr1   optim.lr=0.2 seed=1 "));
  REQUIRE(contains(table, "[6]  long  data.augment= "));
  REQUIRE(contains(table, "             a-name-that-is-longer-than-it\n"));
  for (const std::string& line : lines_of(table)) REQUIRE(text_width(line) <= 100);
}

TEST_CASE("runs of different imbalance stand side by side", "[runs]") {
  const TempDir dir;
  const json hundred = manifest({200, 50, 5}, "00ff");
  json ten = manifest({200, 60, 20}, "0aaa");
  ten["split"]["imbalance"] = 10;
  const auto run = [&](const std::string& name, const json& split, double overall,
                       std::map<std::string, json> changes) {
    return read_run(put_run(dir, name, {split, summary_of(overall), std::move(changes)}));
  };
  const json at_ten = 10.0, bs = "balanced-softmax";
  json begun = summary_of(0.01);
  begun["step"] = 5;
  const Comparison c = compare(
      {run("ce-100", hundred, 0.4, {}), run("ce-10", ten, 0.6, {{"data.imbalance", at_ten}}),
       run("ce-10-1", ten, 0.62, {{"data.imbalance", at_ten}, {"seed", 1}}),
       run("bs-100", hundred, 0.45, {{"loss.name", bs}}),
       read_run(
           put_run(dir, "bs-10", {ten, begun, {{"loss.name", bs}, {"data.imbalance", at_ten}}}))});
  REQUIRE(c.splits == std::vector<Comparison::Indices>{{0, 3}, {1, 2, 4}});
  REQUIRE(c.repeated == std::vector<Comparison::Indices>{{1, 2}});
  const std::string table = split_table(c);
  INFO(table);
  REQUIRE(words_of(table, "differs from [1]") == Words{"imbalance", "100", "imbalance", "10"});
  REQUIRE(words_of(table, "set/ce") == Words{"40.00", "61.00", pm, "1.41"});
  REQUIRE(words_of(table, "loss.name=balanced-softmax") == Words{"45.00", "1.00", "(step", "5)"});
  const std::string rows = comparison_table(c);
  INFO(rows);
  REQUIRE(contains(rows, "split 00ff: exponential, imbalance 100,"));
  REQUIRE(contains(rows, "split 0aaa: exponential, imbalance 10,"));
  REQUIRE(words_of(rows, "[2]")[1] == "data.imbalance=10");
  REQUIRE(to_json(c)["splits"][1]["runs"] == json{1, 2, 4});
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
  const Comparison c = compare({read_run(put_run(dir, "a", {split, summary}))});
  const std::string table = class_table(c, c.splits[0]);
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

  // The groups are those of the recipe.
  const auto groups = [&](const json& limits) {
    const RunFiles files{split, summary, {{"eval.groups", limits}}};
    const Comparison c = compare({read_run(put_run(dir, "b", files))});
    return class_table(c, c.splits[0]);
  };
  REQUIRE(contains(groups({300, 100}), "few, mean of 20"));
}

TEST_CASE("more runs than a terminal holds", "[runs]") {
  const TempDir dir;
  json split = manifest({200, 50, 5}, "00ff");
  split["difficulty"] = {0.1, 0.2, 0.3};
  const RunResult run = read_run(put_run(dir, "a", {split, summary_of(0.4)}));
  const Comparison c = compare(std::vector<RunResult>(12, run));
  const std::string table = class_table(c, c.splits[0]);
  INFO(table);
  REQUIRE(contains(table, "left out, too many columns: "));
  REQUIRE(contains(table, "[12]\n"));
  for (const std::string& line : lines_of(table)) REQUIRE(text_width(line) <= 100);
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
