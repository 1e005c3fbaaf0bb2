// The predicted peak of tensor memory against the measured one, and that asking for it changes
// nothing.
#include "methods/training/price.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/tensor/device.h"
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

// Three steps of a task with its loaders; between them, if wanted, the price is asked for.
struct Outcome {
  TrainState state;
  NamedState optimizer, method;
};
Outcome three_steps(const Recipe& recipe, bool with_price) {
  Task task(recipe, "synthetic:shapes", Precision::float32);
  TrainState state = task.initial_state();
  Sgd optimizer(recipe.optimizer());
  const auto segments = optimizer_segments(state.params, 1e-4, {});
  Loader train(task.train_stream, 0), meta(task.meta_stream, 0);
  for (std::int64_t step = 0; step < 3; ++step) {
    if (with_price) price_of(task, 2);
    const Batch batch = train.next(), meta_batch = meta.next();
    const StepContext context{.learning_rate = 0.05,
                              .train = batch,
                              .meta = &meta_batch,
                              .apply = [&](const Params& gradient) {
                                optimizer.step(state.params, gradient.flattened(), 0.05, segments);
                              }};
    task.method->step(state, context);
  }
  return {state, optimizer.state(), task.method->state()};
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
      CHECK(price.sizes.batch == 72);
      CHECK(price.sizes.meta_batch == (std::string(method) == "supervised" ? 0 : 40));
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
  const Outcome plain = three_steps(recipe, false), priced = three_steps(recipe, true);
  require_same_bits(plain.state.params.flat(), priced.state.params.flat());
  require_same_bits(plain.state.buffers.flat(), priced.state.buffers.flat());
  REQUIRE(plain.optimizer.size() == priced.optimizer.size());
  for (std::size_t i = 0; i < plain.optimizer.size(); ++i) {
    require_same_bits(plain.optimizer[i].second, priced.optimizer[i].second);
  }
  REQUIRE(plain.method.size() == priced.method.size());
  for (std::size_t i = 0; i < plain.method.size(); ++i) {
    CHECK(plain.method[i].first == priced.method[i].first);
    require_same_bits(plain.method[i].second, priced.method[i].second);
  }
}

TEST_CASE("the price leaves no memory behind", "[price]") {
  const Task task(recipe_of("difficulty-net"), "synthetic:shapes", Precision::float32);
  const std::int64_t live = memory_stats().live_total_bytes;
  const MemoryPrice first = price_of(task, 2);
  CHECK(memory_stats().live_total_bytes == live);
  CHECK(price_of(task, 2).peak.total == first.peak.total);
  const std::string table = price_table(first);
  for (const char* word : {"activations", "parameters", "total", "data set", "meta batch 40"}) {
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
      const auto growing = allocate({}, std::size_t(1024 * sizes.batch + 512 * sizes.meta_batch));
    }
  };
  const auto growing = std::int64_t(allocated_bytes(1024 * 1000 + 512 * 333));
  const MemoryPeak large = predict_peak(trial, {.batch = 1000, .meta_batch = 333});
  CHECK(large.total == growing + std::int64_t(allocated_bytes(1000)));
  CHECK(large.by_use[std::size_t(MemoryUse::gradients)] == growing);
  const MemoryPeak tiny = predict_peak(trial, {.batch = 4, .meta_batch = 2});
  CHECK(tiny.total == std::int64_t(allocated_bytes(1000) + allocated_bytes(100000)));
}

TEST_CASE("sequences that differ are extrapolated by their peaks", "[price]") {
  const PriceTrial trial = [](const StepSizes& sizes, AllocationTrace& trace) {
    trace.next_part();
    const auto block = allocate({}, std::size_t(64 * 1024 * sizes.batch));
    if (sizes.batch > 20) allocate({}, 64);
  };
  // 16 and 32 MiB and, at the large size, a cache line: classes of an eighth hold both exactly.
  const double predicted = double(predict_peak(trial, {.batch = 128}).total);
  REQUIRE(relative(predicted, 128.0 * 64 * 1024) <= 1e-3);
}
