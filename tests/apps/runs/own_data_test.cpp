// From a folder of one's own images to the comparison of two runs, by the programs.
#include <nlohmann/json.hpp>

#include "apps/data/commands.h"
#include "tests/apps/program_run.h"
#include "tests/methods/tiny_data.h"

namespace {

// The tiny data set with a class that was thinned out: 10, 10 and `kept` training images.
std::string long_tailed_folder(const TempDir& dir, int kept) {
  const std::string folder = tiny_data(dir);
  int seen = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder + "/train/red")) {
    if (++seen > kept) std::filesystem::remove(file.path());
  }
  return folder;
}

const std::string short_run = " --set schedule.length=1 --set schedule.warmup=0 --threads 1";

}  // namespace

TEST_CASE("ek-train: a recipe may name its data", "[own-data]") {
  const TempDir dir;
  const ProgramRun run =
      run_program(dir, "ek-train", "--recipe synthetic/ce --out run --max-steps 0 --threads 1");
  CAPTURE(run.error);
  REQUIRE(run.code == 0);
  const auto config = nlohmann::json::parse(file_bytes(dir / "run/config.json"));
  CHECK(config["data"] == "synthetic:shapes");
  CHECK(config["recipe"]["data"]["source"] == "synthetic:shapes");
  const auto data = run.error.find("data: 1401 of 5000 training images used, 200 held out");
  CHECK(data != std::string::npos);
  CHECK(run.error.find("model: resnet8, ") > data);

  check_refused(run_program(dir, "ek-train", "--recipe cifar100-lt/ce --out other"),
                "--data is missing (the recipe has no data.source)");
  CHECK_FALSE(std::filesystem::exists(dir / "other"));
}

TEST_CASE("ek-train: --data counts before the recipe's own", "[own-data]") {
  const TempDir dir;
  const std::string folder = long_tailed_folder(dir, 4);
  const ProgramRun run = run_program(dir, "ek-train",
                                     "--recipe synthetic/ce --data '" + folder +
                                         "' --set data.imbalance=2 --set data.meta_per_class=0 "
                                         "--out run --max-steps 1 --threads 1");
  CAPTURE(run.error);
  REQUIRE(run.code == 0);
  const auto config = nlohmann::json::parse(file_bytes(dir / "run/config.json"));
  CHECK(config["data"] == folder);
  CHECK(config["recipe"]["data"]["source"] == "synthetic:shapes");
  // 4 + 2 + 2 images of 24.
  CHECK(contains(run.error,
                 "warning: profile exponential leaves out 16 of 24 training images of a set that "
                 "is unbalanced already (imbalance 2.5); --set data.profile=none takes them all"));
}

TEST_CASE("ek-train: what does not fit the profile names the cure", "[own-data]") {
  const TempDir dir;
  const std::string folder = long_tailed_folder(dir, 4);
  const std::string start = "--data '" + folder + "' --out run --recipe cifar100-lt/ce";
  check_refused(run_program(dir, "ek-train", start), "data.profile=none takes every image");
  check_refused(run_program(dir, "ek-train", start + " --set data.meta_per_class=0"),
                "data.profile=none takes every image");
  check_refused(run_program(dir, "ek-train", start + " --set data.profile=none"),
                "data.meta_per_class");
  CHECK_FALSE(std::filesystem::exists(dir / "run"));
}

TEST_CASE("ek-data: make-lt warns when it throws a long-tailed set away", "[own-data]") {
  const TempDir dir;
  const std::string folder = long_tailed_folder(dir, 4);
  const ProgramRun run =
      run_program(dir, "ek-data", "make-lt --data '" + folder + "' --imbalance 2 --out cut");
  CHECK(run.code == 0);
  CHECK(contains(run.error, "leaves out 16 of 24"));
  CHECK(contains(run.error, "--profile none takes them all"));
}

TEST_CASE("the folder recipes take a folder as it is, and their runs compare", "[own-data]") {
  const TempDir dir;
  const std::string folder = long_tailed_folder(dir, 4);
  for (const std::string name : {"ce", "balanced-softmax", "difficulty-net"}) {
    const ProgramRun run = run_program(
        dir, "ek-train",
        "--recipe folder/" + name + " --data '" + folder + "' --out runs/" + name + short_run);
    CAPTURE(name, run.error);
    REQUIRE(run.code == 0);
    CHECK(contains(run.error, "data: 15 of 24 training images used, 9 held out"));
    CHECK_FALSE(contains(run.error, "warning"));
  }
  const ProgramRun seed = run_program(
      dir, "ek-train",
      "--recipe folder/ce --seed 1 --data '" + folder + "' --out runs/ce-1" + short_run);
  REQUIRE(seed.code == 0);
  const ProgramRun table = run_program(
      dir, "ek-eval", "--compare runs/ce runs/ce-1 runs/balanced-softmax runs/difficulty-net");
  CAPTURE(table.out);
  CHECK(table.code == 0);
  CHECK(contains(table.out, "[1]  ce "));
  CHECK(contains(table.out, " folder/ce "));
  CHECK(contains(table.out, "seed=1"));
  CHECK(contains(table.out, "loss.name=balanced-softmax"));
  CHECK(contains(table.out, "method.name=difficulty-net"));
  CHECK(contains(table.out, "mean of 2: [1] [2]"));
  CHECK(contains(table.out, ": all images, imbalance 7, 3 held out per class\n"));
}
