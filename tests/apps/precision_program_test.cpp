// --precision as programs take it, and ek-eval on a checkpoint of a bf16 run.
#include <sys/wait.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <numeric>

#include "apps/eval/checkpoint.h"
#include "kernels/base/info.h"
#include "methods/training/trainer.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/paths.h"
#include "tests/temp_dir.h"

using namespace ek;

namespace {

struct Ended {
  int code;
  std::string out, err;
};

Ended program(const TempDir& dir, const std::string& command) {
  const std::string line = fmt::format("cd '{}' && '{}/bin/'{} > out 2> err", dir.path().string(),
                                       binary_dir(), command);
  const int status = std::system(line.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, file_bytes(dir / "out"),
          file_bytes(dir / "err")};
}

}  // namespace

TEST_CASE("programs refuse a precision in one line", "[precision]") {
  const TempDir dir;
  for (const std::string& start :
       {std::string("ek-train --recipe synthetic/ce --data synthetic:shapes --out run"),
        std::string("ek-bench-step --steps 1")}) {
    for (const auto& [name, reason] : {std::pair{"tf32", "tf32 is for --device cuda or simt"},
                                       {"half", "expected float32, float64, bf16 or tf32"}}) {
      const Ended ended = program(dir, start + " --precision " + name);
      INFO(start << ": " << ended.err);
      CHECK(ended.code == 2);
      CHECK(contains(ended.err, reason));
      CHECK(ended.err.find('\n') == ended.err.size() - 1);
    }
  }
  CHECK_FALSE(std::filesystem::exists(dir / "run"));
}

TEST_CASE("ek-bench-step in bf16 runs, or says why not", "[precision]") {
  const TempDir dir;
  const Ended ended = program(dir,
                              "ek-bench-step --model resnet8 --batch 4 --meta-batch 4 --pool 1 "
                              "--steps 1 --warmup 1 --precision bf16 --json");
  INFO(ended.err);
  if (kernels::cpu_bf16().empty()) {
    CHECK(ended.code == 2);
    CHECK(contains(ended.err, "--precision bf16: this program finds neither"));
  } else {
    CHECK(ended.code == 0);
    CHECK(nlohmann::json::parse(ended.out)["precision"] == "bf16");
  }
}

TEST_CASE("a bf16 checkpoint is evaluated in bf16, with the run's own figures", "[eval][bf16]") {
  const TempDir dir;
  const Recipe recipe = Recipe::resolve(
      R"({"data": {"imbalance": 10, "n_max": 20, "meta_per_class": 4, "normalize": "half"},
          "model": {"name": "resnet8"}, "batch_size": 16,
          "schedule": {"unit": "iteration", "length": 6, "kind": "constant"},
          "optim": {"lr": 0.05}})",
      "test");
  TrainOptions options;
  options.data = "synthetic:shapes";
  options.out = (dir / "run").string();
  options.precision = Precision::bf16;
  train(recipe, options, {});

  const EvalCheckpoint checkpoint((dir / "run" / "last.safetensors").string(), {});
  CHECK(checkpoint.precision() == Precision::bf16);
  const DataSource source = load_source("synthetic:shapes");
  std::vector<std::int64_t> records(std::size_t(source.test.count()));
  std::iota(records.begin(), records.end(), 0);
  const Predictions again = checkpoint.run(source, source.test, records, false, {}).predictions;
  const auto summary = nlohmann::json::parse(file_bytes(dir / "run" / "summary.json"));
  const Metrics metrics = compute_metrics(again, checkpoint.class_counts());
  CHECK(metrics.overall == summary["last"]["overall"].get<double>());
  CHECK(metrics.ece == summary["last"]["ece"].get<double>());

  // The same tensors called float32 give other logits: the precision is honoured.
  SafetensorsFile file = read_safetensors(dir / "run" / "last.safetensors");
  file.metadata["precision"] = "float32";
  write_safetensors(dir / "single.safetensors", file.tensors, file.metadata);
  const EvalCheckpoint single((dir / "single.safetensors").string(), {});
  CHECK(single.run(source, source.test, records, false, {}).predictions.logits != again.logits);
}
