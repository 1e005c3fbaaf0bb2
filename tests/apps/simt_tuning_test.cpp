// --autotune and --tuning of ek-train and ek-bench-step on the device simt, as programs.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "apps/bench/step.h"
#include "engine/io/safetensors.h"
#include "engine/tuning/tuning.h"
#include "tests/apps/program_run.h"
#include "tests/methods/tiny_data.h"
#include "tests/simt_device.h"

using namespace ek;

namespace {

ProgramRun train(const TempDir& dir, const std::string& arguments) {
  return run_program(dir, "ek-train", "--threads 1 --recipe tiny.json --data tiny " + arguments);
}

nlohmann::json config(const TempDir& dir, const std::string& run) {
  return nlohmann::json::parse(file_bytes(dir / run / "config.json"));
}

std::string checkpoint(const TempDir& dir, const std::string& run) {
  return file_bytes(dir / run / "last.safetensors");
}

void put_task(const TempDir& dir) {
  tiny_data(dir);
  put_file(dir / "tiny.json", tiny_recipe("supervised"));
}

}  // namespace

TEST_CASE("ek-train --autotune on simt; --tuning and --resume replay it", "[simt][training]") {
  if (!has_simt()) return;
  const TempDir dir;
  put_task(dir);
  ProgramRun run = train(dir, "--device simt --autotune --out a --max-steps 2");
  CAPTURE(run.error);
  REQUIRE(run.code == 0);
  CHECK(contains(run.error, "calls measured on simt"));
  const Tuning tuning = read_tuning(dir / "a" / "tuning.json");
  REQUIRE(tuning.entries.size() > 20);
  CHECK(tuning.text() == file_bytes(dir / "a" / "tuning.json"));
  CHECK(config(dir, "a")["tuning"] == nlohmann::json{{"from", "autotune"},
                                                     {"architecture", "simt"},
                                                     {"hash", tuning.hash()},
                                                     {"entries", tuning.entries.size()}});
  CHECK(read_safetensors_metadata(dir / "a" / "last.safetensors")["tuning"] == tuning.hash());

  // The same table: the same bytes, in one go and in two.
  run = train(dir, "--device simt --tuning a/tuning.json --out b --max-steps 1");
  REQUIRE(run.code == 0);
  CHECK(config(dir, "b")["tuning"]["from"] == "file");
  CHECK(file_bytes(dir / "b" / "tuning.json") == tuning.text());
  run = train(dir, "--device simt --resume --out b --max-steps 2");
  CAPTURE(run.error);
  REQUIRE(run.code == 0);
  CHECK(contains(run.error, "kernel versions of the run's tuning.json, hash " + tuning.hash()));
  CHECK(checkpoint(dir, "a") == checkpoint(dir, "b"));

  // A table is part of the run.
  check_refused(train(dir, "--device simt --resume --autotune --out b"),
                "--autotune: a run that is resumed keeps the kernel versions");
  Tuning other = tuning;
  other.entries.pop_back();
  put_file(dir / "other.json", other.text());
  check_refused(train(dir, "--device simt --resume --tuning other.json --out b"),
                "--tuning other.json: its hash is " + other.hash());
  put_file(dir / "b" / "tuning.json", other.text());
  check_refused(
      train(dir, "--device simt --resume --out b"),
      "tuning.json has the hash " + other.hash() + ", the run began with " + tuning.hash());
  std::filesystem::remove(dir / "b" / "tuning.json");
  check_refused(train(dir, "--device simt --resume --out b"), "tuning.json");
}

TEST_CASE("ek-train on simt refuses tables that are not for it", "[simt][training]") {
  if (!has_simt()) return;
  const TempDir dir;
  put_task(dir);
  const auto refused = [&](const std::string& text, const std::string& part) {
    put_file(dir / "t.json", text);
    check_refused(train(dir, "--device simt --tuning t.json --out run"), part);
    CHECK(!std::filesystem::exists(dir / "run"));
  };
  Tuning tuning{.architecture = "sm_90", .cuda = "13.0", .entries = {}};
  refused(tuning.text(), "t.json: a table for sm_90, but simt is simt");
  tuning.architecture = "simt";
  refused(tuning.text().substr(0, 30), "t.json: not a JSON file");
  check_refused(train(dir, "--device simt --tuning none.json --out run"), "none.json");
  check_refused(train(dir, "--device simt --autotune --tuning t.json --out run"),
                "--autotune, --tuning: expected one of them");
  check_refused(train(dir, "--device simt --autotune --price"), "not with --audit or --price");
  put_file(dir / "t.json", tuning.text());
  check_refused(train(dir, "--tuning t.json --out run"),
                "--tuning: the cpu has one version of each kernel");
  check_refused(train(dir, "--autotune --out run"),
                "--autotune: the cpu has one version of each kernel");
}

TEST_CASE("a run with a table on simt goes on on the cpu, and says so", "[simt][training]") {
  if (!has_simt()) return;
  const TempDir dir;
  put_task(dir);
  Tuning tuning{.architecture = "simt", .cuda = "", .entries = {}};
  tuning.entries.push_back({.call = {"softmax", {}, {}, {3, 3}}, .version = 1});
  put_file(dir / "t.json", tuning.text());
  ProgramRun run = train(dir, "--device simt --tuning t.json --out run --max-steps 1");
  REQUIRE(run.code == 0);
  run = train(dir, "--resume --out run --max-steps 2 --device cpu");
  CAPTURE(run.error);
  CHECK(run.code == 0);
  CHECK(contains(run.error, "the run's tuning.json is for simt: on cpu kernels choose by rule"));
  CHECK(read_safetensors_metadata(dir / "run" / "last.safetensors")["tuning"] == tuning.hash());
}

TEST_CASE("ek-bench-step on simt adds to a table what it lacks", "[simt][bench]") {
  if (!has_simt()) return;
  const TempDir dir;
  BenchStepOptions o;
  o.model = "resnet8";
  o.batch = 2;
  o.classes = 3;
  o.image_size = 8;
  o.pool = 1;
  o.device = simt;
  o.autotune = true;
  o.write_tuning = (dir / "t.json").string();
  const RunTuning first = bench_tuning(o);
  REQUIRE(first.in_force);
  const Tuning all = read_tuning(o.write_tuning);
  CHECK(all.hash() == first.tuning->hash());
  REQUIRE(all.entries.size() > 20);

  // Every second one: these stay as they are, word for word, and the others come again.
  Tuning half{.architecture = "simt", .cuda = "", .entries = {}};
  for (std::size_t i = 0; i < all.entries.size(); i += 2) half.entries.push_back(all.entries[i]);
  put_file(o.write_tuning, half.text());
  bench_tuning(o);
  const Tuning again = read_tuning(o.write_tuning);
  for (std::size_t i = 0; i < half.entries.size(); ++i) {
    const auto it = std::ranges::find(again.entries, half.entries[i].call, &TuningEntry::call);
    REQUIRE(it != again.entries.end());
    CHECK(it->version == half.entries[i].version);
    CHECK(it->median_us == half.entries[i].median_us);
  }
  CHECK(again.entries.size() > half.entries.size());

  o.autotune = false;
  CHECK(contains(error_of([&] { bench_tuning(o); }), "t.json: expected with --autotune"));
  o.tuning = std::exchange(o.write_tuning, "");
  CHECK(bench_tuning(o).json()["hash"] == again.hash());
  check_refused(run_program(dir, "ek-bench-step", "--autotune"),
                "--autotune: the cpu has one version of each kernel");
}

TEST_CASE("ek-check tuning says which table is in force on simt and on the cpu", "[simt]") {
  if (!has_simt()) return;
  const TempDir dir;
  CHECK(run_program(dir, "ek-check", "tuning --device simt").out ==
        "simt: no committed table; kernel versions by rule\n");
  CHECK(run_program(dir, "ek-check", "tuning").out ==
        "cpu: no committed table; one version of each kernel\n");
}
