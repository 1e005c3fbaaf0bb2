// What a run folder is kept from: numbers that are none, another process, other data.
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <cmath>

#include "methods/session/checkpoint.h"
#include "methods/training/run_lock.h"
#include "methods/training/trainer.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/methods/tiny_data.h"
#include "tests/methods/training/run_files.h"

using namespace ek;
namespace fs = std::filesystem;

namespace {

TrainOptions options(const std::string& data, const fs::path& out) {
  TrainOptions o;
  o.data = data;
  o.out = out.string();
  return o;
}

Recipe recipe_of(std::vector<std::string> sets) {
  return Recipe::resolve(tiny_recipe("supervised"), "test", sets);
}

}  // namespace

TEST_CASE("a state that is not finite never replaces a checkpoint", "[guard]") {
  const TempDir dir;
  const std::string data = tiny_data(dir);
  // The first steps are fine, the step from there on is far too long.
  const Recipe recipe = recipe_of({"checkpoint.every=1", "schedule.length=40", "optim.lr=1e18",
                                   "schedule.warmup=3", "schedule.warmup_start=0.01"});
  const std::string error = error_of([&] { train(recipe, options(data, dir / "run"), {}); });
  CAPTURE(error);
  CHECK(contains(error, "training: "));
  const SafetensorsFile file = read_safetensors(dir / "run" / "last.safetensors");
  CHECK_NOTHROW(require_finite(file.tensors, ""));
}

TEST_CASE("what is not finite is named with its step", "[guard]") {
  const Tensor good = Tensor::full({2}, 1, DType::float32);
  const Tensor bad = Tensor::full({2}, std::nan(""), DType::float32);
  const std::string error = error_of([&] {
    require_finite({{"a", good}, {"b.weight", bad}}, "after step 7");
  });
  CHECK(contains(error, "b.weight holds nan after step 7"));
  CHECK(contains(error, "optim.lr"));
  CHECK_NOTHROW(require_finite({{"a", good}}, "after step 7"));
}

TEST_CASE("a run folder is one process's at a time", "[guard]") {
  const TempDir dir;
  {
    const RunLock mine(dir.path());
    const std::string error = error_of([&] { RunLock(dir.path()); });
    CHECK(contains(error, "in use by process " + std::to_string(getpid())));
  }
  CHECK_FALSE(fs::exists(dir / "lock"));
  CHECK_NOTHROW(RunLock(dir.path()));
}

TEST_CASE("a killed process leaves no lock that holds", "[guard]") {
  const TempDir dir;
  int ready[2];
  REQUIRE(pipe(ready) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const RunLock theirs(dir.path());
    (void)!write(ready[1], "x", 1);
    pause();
    _exit(0);
  }
  char byte = 0;
  REQUIRE(read(ready[0], &byte, 1) == 1);
  CHECK(contains(error_of([&] { RunLock(dir.path()); }), std::to_string(child)));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  CHECK(fs::exists(dir / "lock"));
  CHECK_NOTHROW(RunLock(dir.path()));
  close(ready[0]);
  close(ready[1]);
}

TEST_CASE("two runs in one folder: the second is refused", "[guard]") {
  const TempDir dir;
  const std::string data = tiny_data(dir);
  TrainOptions first = options(data, dir / "run");
  first.max_steps = 2;
  train(recipe_of({}), first, {});
  const RunLock other(dir / "run");
  first.resume = true;
  CHECK(contains(error_of([&] { train(recipe_of({}), first, {}); }), "the run is in use by"));
}

TEST_CASE("a run goes on with the data that it began with", "[guard]") {
  const TempDir dir;
  const std::string data = tiny_data(dir);
  TrainOptions o = options(data, dir / "run");
  o.max_steps = 2;
  train(recipe_of({}), o, {});
  o.resume = true;
  o.max_steps = -1;
  for (const char* split : {"train", "test"}) {
    fs::rename(fs::path(data) / split / "green", fs::path(data) / split / "gray");
  }
  const std::string error = error_of([&] { train(recipe_of({}), o, {}); });
  CHECK(contains(error, "class 1 is 'green' there and 'gray' here"));
}
