// The predicted peak of tensor memory against the measured one, and that asking for it changes
// nothing.
#include "methods/training/price.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/tensor/device.h"
#include "methods/session/checkpoint.h"
#include "methods/session/session.h"
#include "methods/training/trainer.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/temp_dir.h"

using namespace ek;

namespace {

// What a user is promised. The extrapolation itself misses by less than a per cent here: the rest
// is for what does not grow with the batch, as workspaces that stop growing at another size.
constexpr double tolerance = 0.10;

// Batches beyond 32, so that the prediction has to extrapolate.
nlohmann::json small(const std::string& method) {
  return {
      {"data", {{"imbalance", 10}, {"n_max", 20}, {"meta_per_class", 4}, {"normalize", "half"}}},
      {"model", {{"name", "resnet8"}}},
      {"method", {{"name", method}}},
      {"optim", {{"lr", 0.05}, {"momentum", 0.9}}},
      {"schedule", {{"unit", "iteration"}, {"length", 3}, {"kind", "constant"}}},
      {"batch_size", 72},
      {"eval", {{"every", 0}}},
      {"checkpoint", {{"every", 0}}},
      {"log", {{"every", 1}}}};
}

Recipe recipe_of(const std::string& method, const std::vector<std::string>& sets = {}) {
  nlohmann::json json = small(method);
  if (method == "difficulty-net") json["method"]["meta_batch"] = 40;
  return Recipe::resolve(json.dump(), "test", sets);
}

TrainOptions options(const std::filesystem::path& out) {
  TrainOptions o;
  o.data = "synthetic:shapes";
  o.out = out.string();
  return o;
}

double relative(double predicted, double measured) {
  return std::abs(predicted - measured) / measured;
}

void require_same_bits(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  REQUIRE(a.dtype() == b.dtype());
  REQUIRE(std::memcmp(a.raw(), b.raw(), a.bytes()) == 0);
}

// What three steps leave; between them, if wanted, the price is asked for.
std::vector<NamedTensor> three_steps(const Recipe& recipe, bool with_price) {
  const Experiment experiment(recipe, "synthetic:shapes", Precision::float32);
  State state = experiment.initial_state();
  for (std::int64_t step = 0; step < 3; ++step) {
    if (with_price) price_of(experiment, 2);
    run_step(experiment, state, make_step(experiment, step));
  }
  std::vector<NamedTensor> tensors;
  for (const auto& [name, tensor] : checkpoint_tensors(state, Scope::everything)) {
    tensors.emplace_back(name, tensor.clone());
  }
  return tensors;
}

}  // namespace

TEST_CASE("the predicted peak is within a tenth of the measured one", "[price]") {
  for (const char* method : {"supervised", "difficulty-net"}) {
    for (const int prefetch : {0, 2}) {
      CAPTURE(method, prefetch);
      const TempDir dir;
      TrainOptions o = options(dir / "run");
      o.prefetch = prefetch;
      const MemoryPrice price = price_training(recipe_of(method), o);
      std::vector<std::int64_t> batches{72};
      if (std::string(method) == "difficulty-net") batches.push_back(40);
      CHECK(price.sizes.batches == batches);
      CHECK(price.sizes.eval_images == 256);
      CHECK(price.data_set_bytes == (5000 + 1000) * (32 * 32 * 3 + 8));

      std::vector<std::string> messages;
      TrainObserver observer;
      observer.message = [&](const std::string& text) { messages.push_back(text); };
      train(recipe_of(method), o, observer);
      const auto summary = nlohmann::json::parse(file_bytes(dir / "run" / "summary.json"));
      const double measured = summary["peak_bytes"];
      CAPTURE(measured, price.peak.total);
      REQUIRE(relative(double(price.peak.total), measured) <= tolerance);
      CHECK(summary["predicted_peak_bytes"] == price.peak.total);
      for (const char* use : {"activations", "parameters", "gradients", "optimizer"}) {
        CAPTURE(use);
        const double of_use = summary["peak_bytes_by_use"][use];
        REQUIRE(relative(summary["predicted_peak_bytes_by_use"][use], of_use) <= tolerance);
      }
      REQUIRE(messages.size() >= 2);
      CHECK(std::ranges::any_of(messages, [](const std::string& text) {
        return text.starts_with("predicted peak of tensor memory: ");
      }));
      CHECK(messages.back().starts_with("peak of tensor memory: "));
      CHECK(contains(messages.back(), "; predicted "));
    }
  }
}

TEST_CASE("asking for the price changes no bit of a run", "[price]") {
  const Recipe recipe = recipe_of("difficulty-net");
  const auto plain = three_steps(recipe, false), priced = three_steps(recipe, true);
  REQUIRE(plain.size() == priced.size());
  for (std::size_t i = 0; i < plain.size(); ++i) {
    CHECK(plain[i].first == priced[i].first);
    require_same_bits(plain[i].second, priced[i].second);
  }
}

TEST_CASE("the price leaves no memory behind", "[price]") {
  const Experiment experiment(recipe_of("difficulty-net"), "synthetic:shapes", Precision::float32);
  const std::int64_t live = memory_stats().live_total_bytes;
  const MemoryPrice first = price_of(experiment, 2);
  CHECK(memory_stats().live_total_bytes == live);
  CHECK(price_of(experiment, 2).peak.total == first.peak.total);
  const std::string table = price_table(first);
  for (const char* word : {"activations", "parameters", "total", "data set", "batch 72 + 40"}) {
    CHECK(contains(table, word));
  }
}

TEST_CASE("a prediction finds the peak where it will be, not where it was", "[price]") {
  // Small batches peak in a block that does not grow, large ones in the one that does.
  const PriceTrial trial = [](const StepSizes& sizes, AllocationTrace& trace) {
    const MemoryScope scope(MemoryUse::activations);
    const auto kept = allocate({}, 1000);
    trace.next_part();
    { const auto constant = allocate({}, 100000); }
    {
      const MemoryScope gradients(MemoryUse::gradients);
      const auto growing =
          allocate({}, std::size_t(1024 * sizes.batches[0] + 512 * sizes.batches[1]));
    }
  };
  const auto growing = std::int64_t(allocated_bytes(1024 * 1000 + 512 * 333));
  const MemoryPeak large = predict_peak(trial, {.batches = {1000, 333}});
  CHECK(large.total == growing + std::int64_t(allocated_bytes(1000)));
  CHECK(large.by_use[std::size_t(MemoryUse::gradients)] == growing);
  const MemoryPeak tiny = predict_peak(trial, {.batches = {4, 2}});
  CHECK(tiny.total == std::int64_t(allocated_bytes(1000) + allocated_bytes(100000)));
}

TEST_CASE("sequences that differ are extrapolated by their peaks", "[price]") {
  const PriceTrial trial = [](const StepSizes& sizes, AllocationTrace& trace) {
    trace.next_part();
    const auto block = allocate({}, std::size_t(64 * 1024 * sizes.batches[0]));
    if (sizes.batches[0] > 20) allocate({}, 64);
  };
  // 16 and 32 MiB and, at the large size, a cache line: classes of an eighth hold both exactly.
  const double predicted = double(predict_peak(trial, {.batches = {128}}).total);
  REQUIRE(relative(predicted, 128.0 * 64 * 1024) <= 1e-3);
}
