// Numbers, misspelt words and recipes on the command line, by the programs.
#include <nlohmann/json.hpp>

#include "tests/apps/program_run.h"

namespace {

std::string dumped_seed(const TempDir& dir, const std::string& arguments) {
  const ProgramRun run =
      run_program(dir, "ek-train", "--dump-recipe --recipe synthetic/ce " + arguments);
  CAPTURE(run.error);
  REQUIRE(run.code == 0);
  return nlohmann::json::parse(run.out)["seed"].dump();
}

}  // namespace

TEST_CASE("command line: a seed is taken exactly or refused", "[cli]") {
  const TempDir dir;
  for (const char* seed : {"0", "9007199254740993", "18446744073709551615"}) {
    CHECK(dumped_seed(dir, std::string("--seed ") + seed) == seed);
    CHECK(dumped_seed(dir, std::string("--set seed=") + seed) == seed);
    put_file(dir / "own.json", std::string(R"({"extends": "synthetic/ce", "seed": )") + seed + "}");
    const ProgramRun run = run_program(dir, "ek-train", "--dump-recipe --recipe own.json");
    CHECK(nlohmann::json::parse(run.out)["seed"].dump() == seed);
  }
  CHECK(dumped_seed(dir, "--seed 1e4") == "10000");
  for (const char* seed : {"010", "0x10", "-1", "1.5", "18446744073709551616", "1e400", "''"}) {
    CAPTURE(seed);
    const std::string begin = "--recipe synthetic/ce --dump-recipe ";
    check_refused(run_program(dir, "ek-train", begin + "--seed " + seed), "--seed");
    check_refused(
        run_program(dir, "ek-train",
                    "--recipe synthetic/ce --dump-recipe --set seed=" + std::string(seed)),
        "'seed' expected an integer from 0 to 18446744073709551615");
  }
}

TEST_CASE("command line: numbers of every program are decimal and within limits", "[cli]") {
  const TempDir dir;
  const std::vector<std::pair<std::string, std::string>> wrong{
      {"ek-train", "--max-steps 010"},
      {"ek-train", "--max-steps -5"},
      {"ek-train", "--max-steps 1e400"},
      {"ek-train", "--steps-per-graph 0x4"},
      {"ek-train", "--threads 4097"},
      {"ek-eval", "--bins 0"},
      {"ek-eval", "--num-classes 1e7"},
      {"ek-data", "make-lt --data x --out y --imbalance 010"},
      {"ek-data", "make-lt --data x --out y --imbalance 10 --n-max -1"},
      {"ek-data", "preview --data x --out y --zoom 0"},
      {"ek-check", "perf --seconds nan"},
      {"ek-bench-step", "--batch 1_000"},
      {"ek-bench-step", "--seed -1"},
  };
  for (const auto& [program, arguments] : wrong) {
    CAPTURE(program, arguments);
    const ProgramRun run = run_program(dir, program, arguments);
    check_refused(run, ": expected a ");
    CHECK(run.error.size() < 160);  // no maximum of 309 digits
  }
}

TEST_CASE("command line: a misspelt word gets the nearest known one", "[cli]") {
  const TempDir dir;
  check_refused(run_program(dir, "ek-train", "--recpie synthetic/ce"),
                "unknown option --recpie, did you mean '--recipe'?");
  check_refused(run_program(dir, "ek-eval", "--compar=a b"), "did you mean '--compare'?");
  check_refused(run_program(dir, "ek-data", "descrbe x"), "did you mean 'describe'?");
  check_refused(run_program(dir, "ek-data", "make-lt --imbalnce 10"),
                "did you mean '--imbalance'?");
  check_refused(run_program(dir, "ek-train", "--zzzzzzzzzz"), "unknown option --zzzzzzzzzz (");
}

TEST_CASE("recipes: extends another, by name or by file", "[cli]") {
  const TempDir dir;
  const auto dump = [&](const std::string& recipe) {
    const ProgramRun run = run_program(dir, "ek-train", "--dump-recipe --recipe " + recipe);
    CAPTURE(recipe, run.error);
    REQUIRE(run.code == 0);
    return nlohmann::json::parse(run.out);
  };
  put_file(dir / "a/one.json", R"({"extends": "synthetic/difficulty-net", "batch_size": 32})");
  put_file(dir / "a/two.json", R"({"extends": "one.json", "loss": {"name": "logit-adjusted",
    "tau": 2}, "optim": {"lr": 0.5}})");
  put_file(dir / "three.json", R"({"extends": "a/two.json", "method": {"name": "supervised"}})");
  const auto base = dump("synthetic/difficulty-net"), two = dump("a/two.json"),
             three = dump("three.json");
  CHECK(two["batch_size"] == 32);
  CHECK(two["loss"]["tau"] == 2);
  CHECK(two["optim"]["lr"] == 0.5);
  CHECK(two["optim"]["weight_decay"] == base["optim"]["weight_decay"]);
  CHECK(two["method"] == base["method"]);
  CHECK(three["method"]["name"] == "supervised");
  CHECK(!three["method"].contains("meta_batch"));
  CHECK(!two.contains("extends"));

  put_file(dir / "circle.json", R"({"extends": "circle.json"})");
  put_file(dir / "gone.json", R"({"extends": "synthetic/cc"})");
  put_file(dir / "number.json", R"({"extends": 1})");
  put_file(dir / "nul.json", std::string("{}\0{", 4));
  const auto refused = [&](const std::string& recipe, const std::string& part) {
    check_refused(run_program(dir, "ek-train", "--dump-recipe --recipe " + recipe), part);
  };
  refused("circle.json", "more than 8 recipes");
  refused("gone.json", "extends 'synthetic/cc': neither a built-in recipe nor a file");
  refused("number.json", "'extends' expected the name of a recipe, came 1");
  refused("nul.json", "a NUL byte at byte 2");
}

TEST_CASE("recipes: a run folder and its config.json are recipes", "[cli]") {
  const TempDir dir;
  const std::string about =
      "--recipe synthetic/ce --data synthetic:shapes --seed 9007199254740993 --threads 1 "
      "--max-steps 1 --set batch_size=2 --set eval.every=1000 --set data.imbalance=100 --out run";
  const ProgramRun trained = run_program(dir, "ek-train", about);
  CAPTURE(trained.error);
  REQUIRE(trained.code == 0);
  const auto config = nlohmann::json::parse(file_bytes(dir / "run/config.json"));
  CHECK(config["seed"].dump() == "9007199254740993");
  for (const char* recipe : {"run", "run/config.json"}) {
    const ProgramRun run =
        run_program(dir, "ek-train", "--dump-recipe --recipe " + std::string(recipe));
    REQUIRE(run.code == 0);
    CHECK(nlohmann::json::parse(run.out) == config["recipe"]);
  }
  const ProgramRun resumed = run_program(dir, "ek-train", "--resume --out run --max-steps 2");
  CAPTURE(resumed.error);
  CHECK(resumed.code == 0);
  const auto summary = file_bytes(dir / "run/config.json");
  CHECK(summary.find("\"seed\": 9007199254740993") != std::string::npos);
}

TEST_CASE("ek-eval: one file for logits and features is refused", "[cli]") {
  const TempDir dir;
  check_refused(run_program(dir, "ek-eval",
                            "--checkpoint x --data y --logits-out out.st "
                            "--features-out ./out.st"),
                "--logits-out, --features-out: expected two files");
}

TEST_CASE("ek-train: paths that are not UTF-8 are stored reversibly", "[cli]") {
  const TempDir dir;
  REQUIRE(run_program(dir, "ek-data", "synthesize --out cifar").code == 0);
  std::filesystem::rename(dir / "cifar", dir / "data\xff");
  const ProgramRun trained = run_program(
      dir, "ek-train",
      "--recipe synthetic/ce --data 'data\xff' --threads 1 --max-steps 1 --set batch_size=2 "
      "--set eval.every=1000 --set data.imbalance=100 --out 'run\xfe'");
  CAPTURE(trained.error);
  REQUIRE(trained.code == 0);
  const std::string text = file_bytes(dir / "run\xfe/config.json");
  CHECK(nlohmann::json::parse(text)["data"] == "data\\xff");
  const ProgramRun resumed = run_program(dir, "ek-train", "--resume --out 'run\xfe' --max-steps 2");
  CAPTURE(resumed.error);
  CHECK(resumed.code == 0);
  check_refused(run_program(dir, "ek-train", "--dump-recipe --recipe 'none\xff'"),
                "neither a built-in recipe nor a file");
  check_refused(
      run_program(dir, "ek-train", "--dump-recipe --recipe synthetic/ce --set 'doc=\xff'"),
      "'doc' expected UTF-8 text");
}
