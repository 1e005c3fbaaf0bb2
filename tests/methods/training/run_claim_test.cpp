// The folder of a run belongs to one process, and goes where a run fails before its first
// checkpoint.
#include "methods/training/run_claim.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "methods/training/trainer.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/methods/tiny_data.h"
#include "tests/methods/training/run_files.h"

using namespace ek;
namespace fs = std::filesystem;

namespace {

// A process that takes the run in `path` and waits to be killed; returns when it has it.
pid_t holder_of(const fs::path& path) {
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const RunClaim claim = RunClaim::take(path);
    (void)!::write(ready[1], "x", 1);
    for (;;) ::pause();
  }
  char byte = 0;
  ::close(ready[1]);
  CHECK(::read(ready[0], &byte, 1) == 1);
  ::close(ready[0]);
  return child;
}

void kill_and_wait(pid_t child) {
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

Recipe tiny(const std::vector<std::string>& sets = {}) {
  return Recipe::resolve(tiny_recipe("supervised"), "test", sets);
}

}  // namespace

TEST_CASE("a run folder has one process; one that was killed does not keep it") {
  const TempDir dir;
  put_file(dir / "run" / "config.json", "{}");
  put_file(dir / "run" / "last.safetensors.tmp", "half");
  const pid_t child = holder_of(dir / "run");
  const std::string refusal = error_of([&] { RunClaim::take(dir / "run"); });
  CHECK(contains(refusal, fmt::format("in use by process {} on ", child)));
  CHECK(contains(error_of([&] { RunClaim::require_new(dir / "run"); }),
                 fmt::format("in use by process {} on ", child)));
  kill_and_wait(child);
  CHECK(fs::exists(dir / "run" / RunLock::file_name));  // it lies there and means nothing
  {
    const RunClaim claim = RunClaim::take(dir / "run");
    CHECK(claim.warning().empty());
    CHECK_FALSE(fs::exists(dir / "run" / "last.safetensors.tmp"));
    CHECK(contains(error_of([&] { RunClaim::take(dir / "run"); }), "in use by process"));
  }
  CHECK_FALSE(fs::exists(dir / "run" / RunLock::file_name));
  CHECK(fs::exists(dir / "run" / "config.json"));
}

TEST_CASE("of a new run's folder nothing is left unless it is kept") {
  const TempDir dir;
  {
    const RunClaim claim = RunClaim::make(dir / "a" / "b");
    put_file(dir / "a" / "b" / "config.json", "{}");
    CHECK(contains(error_of([&] { RunClaim::make(dir / "a" / "b"); }), "in use by process"));
  }
  CHECK_FALSE(fs::exists(dir / "a"));
  {
    RunClaim claim = RunClaim::make(dir / "a" / "b");
    put_file(dir / "a" / "b" / "config.json", "{}");
    claim.keep();
  }
  CHECK(fs::exists(dir / "a" / "b" / "config.json"));
  CHECK_FALSE(fs::exists(dir / "a" / "b" / RunLock::file_name));

  // What was there before stays, also a folder that was empty, and what is not of a run.
  fs::create_directories(dir / "empty");
  { const RunClaim claim = RunClaim::make(dir / "empty"); }
  CHECK(fs::is_directory(dir / "empty"));
  {
    const RunClaim claim = RunClaim::make(dir / "c");
    put_file(dir / "c" / "notes.txt", "mine");
  }
  CHECK(file_bytes(dir / "c" / "notes.txt") == "mine");
}

TEST_CASE("what fails before the first checkpoint leaves nothing", "[trainer]") {
  const TempDir dir;
  const std::string data = tiny_data(dir);
  const auto options = [&] {
    TrainOptions o;
    o.data = data;
    o.out = (dir / "deep" / "run").string();
    return o;
  };
  const auto refused = [&](const Recipe& recipe, const TrainOptions& o, const std::string& part) {
    const std::string message = error_of([&] { train(recipe, o, {}); });
    CAPTURE(message, part);
    CHECK(contains(message, part));
    CHECK_FALSE(fs::exists(dir / "deep"));
  };
  TrainOptions o = options();
  o.init = (dir / "missing.safetensors").string();
  refused(tiny(), o, "missing.safetensors");
  refused(tiny({R"(optim.groups=[{"names":["nothing.*"],"lr_factor":0.1}])"}), options(),
          "nothing.*");
  o = options();
  o.trace = (dir / "no" / "trace.json").string();
  refused(tiny(), o, "trace.json");
  o = options();
  o.data = (dir / "no-data").string();
  refused(tiny(), o, "no-data");
  refused(tiny({"optim.lr=1e30", "checkpoint.every=0"}), options(), "training: ");
  CHECK(train(tiny(), options(), {}) == TrainEnd::finished);
}
