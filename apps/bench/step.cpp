#include "apps/bench/step.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "engine/io/atomic_file.h"
#include "engine/profile/nvtx.h"
#include "engine/profile/profiler.h"
#include "engine/tensor/random.h"
#include "engine/training/weight_packs.h"
#include "methods/method.h"
#include "methods/session/build_info.h"
#include "methods/session/step_graph.h"
#include "methods/training/price.h"
#include "methods/training/run_tuning.h"
#include "methods/training/step_profile.h"
#include "models/registry.h"

namespace ek {
namespace {

constexpr double learning_rate = 0.1, weight_decay = 5e-4;

// Normal pixels, labels from the long-tailed prior (imbalance 100) or uniform.
class BatchMaker {
 public:
  BatchMaker(const BenchStepOptions& options, std::vector<double> cumulative)
      : options_(options), cumulative_(std::move(cumulative)) {}

  Batch make(std::int64_t count, std::uint32_t number, bool long_tailed) const {
    const MemoryScope memory(MemoryUse::data);
    const RandomStream random(options_.seed, Purpose::test, number);
    const Shape shape{count, options_.image_size, options_.image_size, 3};
    std::vector<double> pixels(static_cast<std::size_t>(shape.numel()));
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = random.normal(i);
    std::vector<std::int64_t> labels(static_cast<std::size_t>(count));
    for (std::int64_t i = 0; i < count; ++i) {
      const double u = random.uniform(pixels.size() + std::uint64_t(i));
      const auto hit = std::ranges::upper_bound(cumulative_, u);
      labels[std::size_t(i)] = long_tailed
                                   ? std::min(options_.classes - 1, hit - cumulative_.begin())
                                   : i % options_.classes;
    }
    Batch batch;
    batch.views = {Tensor::from(pixels, shape).to(activation_dtype(options_.precision))};
    batch.labels = Tensor::from(labels, {count});
    batch.items = Tensor::zeros({count}, DType::int64);
    return batch.to(options_.device);
  }

 private:
  const BenchStepOptions& options_;
  std::vector<double> cumulative_;
};

std::vector<std::int64_t> long_tail_counts(std::int64_t classes) {
  std::vector<std::int64_t> counts;
  for (std::int64_t c = 0; c < classes; ++c) {
    const double share = classes > 1 ? double(c) / double(classes - 1) : 0;
    counts.push_back(std::int64_t(500 * std::pow(100.0, -share) + 1e-9));
  }
  return counts;
}

Recipe recipe_for(const BenchStepOptions& options) {
  nlohmann::json json{{"loss", {{"name", options.loss}}},
                      {"optim", {{"momentum", 0.9}, {"weight_decay", weight_decay}}},
                      {"seed", options.seed}};
  if (options.task == "plain") {
    json["method"] = {{"name", "supervised"}};
  } else {
    json["method"] = {{"name", "difficulty-net"},
                      {"estimator", options.estimator},
                      {"meta_batch", options.meta_batch},
                      {"accuracy_refresh", options.eval_images > 0 ? "iterations:1" : "epoch"}};
  }
  return Recipe::resolve(json.dump(), "ek-bench-step");
}

// The model, the method and its batches, stepped one by one.
class Bench {
 public:
  explicit Bench(const BenchStepOptions& options)
      : options_(options),
        recipe_(recipe_for(options)),
        model_(make_model(options.model, options.classes, "linear", 1,
                          float_products(options.precision))) {
    split_.class_counts = long_tail_counts(options.classes);
    split_.meta_index = {0};  // not drawn from: the batches are made here
    method_ = find_method(recipe_.text("method.name"))
                  .make({recipe_, *model_, split_, options.precision, options.seed, options.device,
                         inputs_});
    needs_ = method_->needs();
    state_ =
        State(needs_.parts, options.seed, master_dtype(options.precision), options.device, inputs_);

    std::vector<double> cumulative;
    double total = 0;
    for (std::int64_t count : split_.class_counts) cumulative.push_back(total += double(count));
    for (double& value : cumulative) value /= total;
    const BatchMaker maker(options, cumulative);
    std::uint32_t number = 0;
    for (std::int64_t i = 0; i < options.pool; ++i) {
      std::vector<Step::NamedBatch>& slot = ready_.emplace_back();
      for (const StreamDecl& stream : needs_.streams) {
        const std::int64_t size = stream.batch_size > 0 ? stream.batch_size : options.batch;
        slot.push_back({stream.name, maker.make(size, number++, stream.from == Records::train)});
      }
    }
    if (options.eval_images > 0) eval_ = maker.make(options.eval_images, number, false);
    require(options.eval_images == 0 || options.steps_per_graph.value_or(0) == 0,
            "--steps-per-graph {}: --eval-images measures accuracies on the host in every step, "
            "which no graph can hold",
            options.steps_per_graph.value_or(0));
    steps_per_graph_ = steps_per_graph_for(options.steps_per_graph, options.device, *method_);
    if (options.eval_images > 0) steps_per_graph_ = 0;
  }

  // A step, and the wait for it.
  void step() {
    const StepStart start{.step = done_, .epoch = 0, .first_of_epoch = false};
    if (method_->pauses_before(start)) {
      BenchHost host(*this);
      method_->between(state_, start, host);
    }
    report_ = step_on(done_ % options_.pool, learning_rate, {});
    synchronise(options_.device);
    ++done_;
  }

  // 0: there is step() alone.
  std::int64_t steps_per_graph() const { return steps_per_graph_; }

  // After a step().
  void capture() {
    graph_.emplace(options_.device, StepFeed::Layout{.steps = steps_per_graph_},
                   packed_params(state_), [&](std::int64_t k, const StepFeed& feed) {
                     return step_on((done_ + k) % options_.pool, feed.number(k), feed.count(k));
                   });
  }

  // The captured steps, and the wait for them.
  void replay() {
    for (std::int64_t k = 0; k < steps_per_graph_; ++k) {
      graph_->feed().set_count(k, 0, done_ + k);
      graph_->feed().set_number(k, 0, learning_rate);
    }
    graph_->run();
    synchronise(options_.device);
    report_ = graph_->reports().back();
    done_ += steps_per_graph_;
  }

  nlohmann::json launches_per_step() const {
    if (!graph_) return nullptr;
    const Graph::Counts counts = graph_->graph().counts();
    const auto share = [&](std::int64_t count) { return double(count) / double(steps_per_graph_); };
    return {{"kernels", share(counts.kernels)},
            {"copies", share(counts.copies)},
            {"fills", share(counts.fills)}};
  }

  double loss() const { return report_.loss.item(); }  // of the last step

 private:
  // What a method asks between steps.
  class BenchHost final : public Host {
   public:
    explicit BenchHost(const Bench& bench) : bench_(bench) {}
    std::vector<double> class_accuracy() override { return bench_.class_accuracy(); }
    const Split& split() const override { return bench_.split_; }

   private:
    const Bench& bench_;
  };

  Report step_on(std::int64_t slot, const Number& rate, const Tensor& count) {
    state_.follow();
    return method_->step(
        state_, {.learning_rate = rate, .count = count, .batches = ready_[std::size_t(slot)]});
  }

  std::vector<double> class_accuracy() const {
    const PhaseScope phase(Phase::evaluation);
    std::vector<double> right(std::size_t(options_.classes)), all(right.size());
    const std::vector<double> values = method_->infer(state_, eval_.images()).logits().to_vector();
    const std::vector<double> labels = eval_.labels.to_vector();
    for (std::size_t i = 0; i < std::size_t(options_.eval_images); ++i) {
      const auto row = values.begin() + std::ptrdiff_t(i) * options_.classes;
      const auto label = std::size_t(labels[i]);
      all[label] += 1;
      right[label] += std::max_element(row, row + options_.classes) - row == std::int64_t(label);
    }
    for (std::size_t c = 0; c < right.size(); ++c) right[c] /= std::max(all[c], 1.0);
    return right;
  }

  const BenchStepOptions& options_;
  Recipe recipe_;
  std::unique_ptr<const Model> model_;
  Split split_;
  Inputs inputs_;
  std::unique_ptr<const Method> method_;
  MethodNeeds needs_;
  State state_;
  std::vector<std::vector<Step::NamedBatch>> ready_;
  Batch eval_;
  Report report_;
  std::int64_t done_ = 0, steps_per_graph_ = 0;
  std::optional<StepGraph> graph_;
};

// Milliseconds per step, of steps or of replays.
std::vector<double> timed(Bench& bench, std::int64_t steps) {
  using Clock = std::chrono::steady_clock;
  const std::int64_t each = std::max<std::int64_t>(bench.steps_per_graph(), 1);
  std::vector<double> times_ms;
  for (std::int64_t done = 0; done < steps; done += each) {
    const auto start = Clock::now();
    bench.steps_per_graph() > 0 ? bench.replay() : bench.step();
    const std::chrono::duration<double, std::milli> taken = Clock::now() - start;
    times_ms.push_back(taken.count() / double(each));
  }
  return times_ms;
}

void write_profile(Bench& bench, const BenchStepOptions& options, double unprofiled_step_ms) {
  StepProfile profile(
      {.title = fmt::format("{} {}, batch {}, {}, {} threads", options.model, options.task,
                            options.batch, name_of(options.precision), thread_count()),
       .profile = options.profile,
       .trace = options.trace,
       .device = options.device,
       .warmup = 0,
       .unprofiled_step_ms = unprofiled_step_ms});
  for (std::int64_t i = 0; i < StepProfile::default_steps; ++i) {
    profile.begin_step();
    bench.step();
    profile.end_step();
  }
}

// The batches that wait in the pool are the same tensors all the time: added, not tried.
MemoryPeak price(const BenchStepOptions& options) {
  const auto trial = [&](const StepSizes& sizes, AllocationTrace& trace) {
    BenchStepOptions smaller = options;
    smaller.pool = 1;
    smaller.steps_per_graph.reset();  // the peak is that of the steps one by one
    smaller.batch = sizes.batches.at(0);
    if (sizes.batches.size() > 1) smaller.meta_batch = sizes.batches[1];
    smaller.eval_images = sizes.eval_images;
    Bench bench(smaller);
    bench.step();
    trace.next_part();
    bench.step();
  };
  std::vector<std::int64_t> sizes{options.batch};
  if (options.task != "plain") sizes.push_back(options.meta_batch);
  MemoryPeak peak = predict_peak(trial, {sizes, options.eval_images}, options.device);
  for (const std::int64_t count : sizes) {
    const std::int64_t pixels = count * options.image_size * options.image_size * 3;
    const std::int64_t waiting =
        (options.pool - 1) *
        std::int64_t(
            allocated_bytes(std::size_t(pixels) * size_of(activation_dtype(options.precision))) +
            2 * allocated_bytes(std::size_t(count) * sizeof(std::int64_t)));
    peak.by_use[std::size_t(MemoryUse::data)] += waiting;
    peak.total += waiting;
  }
  release_free_memory();
  return peak;
}

}  // namespace

RunTuning bench_tuning(const BenchStepOptions& options) {
  require(options.autotune || options.write_tuning.empty(),
          "--write-tuning {}: expected with --autotune, which measures", options.write_tuning);
  const auto try_step = [&] {
    BenchStepOptions one = options;
    one.pool = 1;
    Bench bench(one);
    bench.step();
  };
  const std::filesystem::path file = options.write_tuning;
  const bool known = !file.empty() && std::filesystem::exists(file);
  RunTuning run = choose_tuning(
      options.device, options.autotune, options.tuning, try_step,
      [](const std::string& text) { fmt::print(stderr, "{}\n", text); },
      known ? read_tuning(file) : Tuning{});
  if (!file.empty()) write_file_atomically(file, run.tuning->text());
  return run;
}

nlohmann::json quantiles(std::vector<double> values) {
  std::ranges::sort(values);
  auto at = [&](double q) { return values[std::size_t(q * double(values.size() - 1) + 0.5)]; };
  return {{"median", at(0.5)}, {"min", at(0)}, {"p10", at(0.1)}, {"p90", at(0.9)}, {"max", at(1)}};
}

void require_runnable(const BenchStepOptions& options) {
  require(options.steps > 0 && options.pool > 0 && options.batch > 0 && options.meta_batch > 0 &&
              options.warmup >= 0,
          "ek-bench-step: --steps, --pool, --batch and --meta-batch must be positive, --warmup not "
          "negative");
  require(options.task == "plain" || options.task == "difficulty-net",
          "--task {}: expected plain or difficulty-net", options.task);
}

nlohmann::json bench_step(const BenchStepOptions& options) {
  require_runnable(options);
  const RunTuning tuning = bench_tuning(options);
  const TuningScope scope(tuning.tuning.value_or(Tuning{}));
  const MemoryPeak predicted = price(options);
  Bench bench(options);
  bench.step();
  const double first_loss = bench.loss();
  if (bench.steps_per_graph() > 0) {
    reset_memory_peak();
    bench.capture();  // replays allocate nothing: the peak is that of the capture
    timed(bench, options.warmup);
  } else {
    if (options.warmup > 1) timed(bench, options.warmup - 1);
    reset_memory_peak();
  }
  const std::int64_t allocations = memory_stats(options.device).system_allocations;
  const std::vector<double> times_ms = [&] {
    const nvtx::Collection collection(options.device);
    return timed(bench, options.steps);
  }();
  const double last_loss = bench.loss();
  const MemoryStats memory = memory_stats(options.device);
  const nlohmann::json step_ms = quantiles(times_ms);
  if (!options.profile.empty() || !options.trace.empty()) {
    write_profile(bench, options, step_ms["median"]);
  }
  return {
      {"task", options.task},
      {"estimator", options.task == "plain" ? nlohmann::json() : nlohmann::json(options.estimator)},
      {"model", options.model},
      {"batch", options.batch},
      {"meta_batch", options.task == "plain" ? 0 : options.meta_batch},
      {"eval_images", options.eval_images},
      {"precision", name_of(options.precision)},
      {"device", options.device.str()},
      {"threads", thread_count()},
      {"steps", std::ssize(times_ms) * std::max<std::int64_t>(bench.steps_per_graph(), 1)},
      {"steps_per_graph", bench.steps_per_graph()},
      {"launches_per_step", bench.launches_per_step()},
      {"step_ms", step_ms},
      {"images_per_s", 1e3 * double(options.batch) / step_ms["median"].get<double>()},
      {"peak_bytes", memory.peak_total_bytes},
      {"peak_bytes_by_use", bytes_by_use(memory.peak_bytes)},
      {"predicted_peak_bytes", predicted.total},
      {"predicted_peak_bytes_by_use", bytes_by_use(predicted.by_use)},
      {"steady_allocations", memory.system_allocations - allocations},
      {"first_loss", first_loss},
      {"last_loss", last_loss},
      {"tuning", tuning.json()},
      {"versions", build_versions()}};
}

}  // namespace ek
