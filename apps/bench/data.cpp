#include "apps/bench/data.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "methods/evaluation/predict.h"
#include "methods/session/build_info.h"
#include "methods/session/session.h"
#include "methods/training/step_profile.h"

namespace ek {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

Recipe recipe_for(const BenchStepOptions& options) {
  nlohmann::json json{{"model", {{"name", options.model}}},
                      {"loss", {{"name", options.loss}}},
                      {"data", {{"augment", options.augment}}},
                      {"batch_size", options.batch},
                      {"seed", options.seed}};
  if (options.task == "plain") {
    json["method"] = {{"name", "supervised"}};
  } else {
    json["method"] = {{"name", "difficulty-net"},
                      {"estimator", options.estimator},
                      {"meta_batch", options.meta_batch}};
  }
  return Recipe::resolve(json.dump(), "ek-bench-step");
}

class DataBench {
 public:
  explicit DataBench(const BenchStepOptions& options)
      : experiment_(recipe_for(options), options.with_data, options.precision, options.device),
        state_(experiment_.initial_state()),
        prepare_ms_(measure_preparation()) {
    for (const NamedStream& stream : experiment_.streams) {
      loaders_.emplace_back(stream.spec, 0, prefetch);
    }
    for (std::int64_t i = 0; i < options.pool; ++i) ready_.push_back(next());
    const std::int64_t held_out = std::ssize(experiment_.split.meta_index);
    const std::int64_t images = experiment_.source.test.count() + held_out;
    const std::int64_t steps = experiment_.plan.steps_per_epoch();
    evaluated_per_step_ = (images + steps - 1) / steps;
    test_.resize(std::size_t(experiment_.source.test.count()));
    std::iota(test_.begin(), test_.end(), std::int64_t(0));
  }

  void step_on_ready_batch() { step(ready_[std::size_t(done_) % ready_.size()]); }

  void step_with_data() {
    const auto start = Clock::now();
    const Step inputs = next();
    wait_ms_.push_back(ms_since(start));
    step(inputs);
  }

  // The next images of an evaluation, test set first.
  void evaluate() {
    std::int64_t left = evaluated_per_step_;
    while (left > 0) {
      const bool on_test = evaluated_ < std::ssize(test_);
      const ImageSet& images = on_test ? experiment_.source.test : experiment_.source.train;
      const std::span<const std::int64_t> all = on_test ? test_ : experiment_.split.meta_index;
      const std::size_t begin = std::size_t(on_test ? evaluated_ : evaluated_ - std::ssize(test_));
      if (begin >= all.size()) {
        evaluated_ = 0;
        continue;
      }
      const std::size_t count = std::min(all.size() - begin, std::size_t(left));
      predict([&](const Tensor& x) { return experiment_.method->infer(state_, x).logits(); },
              images, all.subspan(begin, count), experiment_.eval_transform,
              experiment_.predict_options());
      evaluated_ += std::int64_t(count);
      left -= std::int64_t(count);
    }
  }

  const Experiment& experiment() const { return experiment_; }
  double prepare_ms() const { return prepare_ms_; }
  const std::vector<double>& wait_ms() const { return wait_ms_; }
  std::int64_t evaluated_per_step() const { return evaluated_per_step_; }
  // Error if it is no number.
  double last_loss() const {
    const double loss = report_.loss.item();
    require(std::isfinite(loss), "ek-bench-step: the loss of step {} is {}", done_, loss);
    return loss;
  }

 private:
  static constexpr int prefetch = 2;  // the trainer's

  Step next() {
    Step step = step_without_batches(experiment_, 0);
    for (std::size_t i = 0; i < loaders_.size(); ++i) {
      step.batches.push_back({experiment_.streams[i].name, loaders_[i].next()});
    }
    return step;
  }

  void step(const Step& inputs) {
    report_ = run_step(experiment_, state_, inputs);
    ++done_;
    synchronise(experiment_.device);
  }

  // On one thread, as the loader's own thread has it.
  double measure_preparation() const {
    constexpr int repetitions = 100;
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
    double best = 0;
    for (int i = 0; i < repetitions; ++i) {
      const auto start = Clock::now();
      for (const NamedStream& stream : experiment_.streams) make_batch(stream.spec, i);
      const double ms = ms_since(start);
      best = i == 0 ? ms : std::min(best, ms);
    }
    omp_set_num_threads(threads);
    return best;
  }

  Experiment experiment_;
  State state_;
  double prepare_ms_;
  std::vector<Loader> loaders_;
  std::vector<Step> ready_;
  std::vector<double> wait_ms_;
  std::vector<std::int64_t> test_;
  std::int64_t done_ = 0, evaluated_ = 0, evaluated_per_step_ = 0;
  Report report_;
};

void write_profile(DataBench& bench, const BenchStepOptions& options, double unprofiled_step_ms) {
  StepProfile profile({.title = fmt::format("{} {} on {}, batch {}, {}, {} threads", options.model,
                                            options.task, options.with_data, options.batch,
                                            name_of(options.precision), thread_count()),
                       .profile = options.profile,
                       .trace = options.trace,
                       .device = options.device,
                       .warmup = 0,
                       .unprofiled_step_ms = unprofiled_step_ms});
  for (std::int64_t i = 0; i < StepProfile::default_steps; ++i) {
    profile.begin_step();
    bench.step_with_data();
    profile.end_step();
  }
}

}  // namespace

nlohmann::json bench_with_data(const BenchStepOptions& options) {
  require_runnable(options);
  require(options.steps_per_graph.value_or(0) == 0,
          "--steps-per-graph {}: steps of --with-data run op by op, on the loaders' batches",
          options.steps_per_graph.value_or(0));
  DataBench bench(options);
  const std::array<std::function<void()>, 3> kinds{[&] { bench.step_on_ready_batch(); },
                                                   [&] { bench.step_with_data(); },
                                                   [&] {
                                                     bench.step_with_data();
                                                     bench.evaluate();
                                                   }};
  std::array<std::vector<double>, 3> times_ms;
  std::vector<double> wait_ms;
  for (std::int64_t round = -options.warmup; round < options.steps; ++round) {
    for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
      const auto start = Clock::now();
      kinds[kind]();
      if (round < 0) continue;
      times_ms[kind].push_back(ms_since(start));
      if (kind == 1) wait_ms.push_back(bench.wait_ms().back());
    }
  }
  const nlohmann::json with_data = quantiles(times_ms[1]);
  if (!options.profile.empty() || !options.trace.empty()) {
    write_profile(bench, options, with_data["median"]);
  }
  const bool plain = options.task == "plain";
  return {{"task", options.task},
          {"estimator", plain ? nlohmann::json() : nlohmann::json(options.estimator)},
          {"model", options.model},
          {"source", bench.experiment().source.name},
          {"augment", options.augment},
          {"batch", options.batch},
          {"meta_batch", plain ? 0 : options.meta_batch},
          {"precision", name_of(options.precision)},
          {"device", options.device.str()},
          {"threads", thread_count()},
          {"steps", options.steps},
          {"step_ms", quantiles(times_ms[0])},
          {"step_ms_with_data", with_data},
          {"step_ms_with_data_and_evaluation", quantiles(times_ms[2])},
          {"wait_ms", quantiles(wait_ms)},
          {"prepare_ms", bench.prepare_ms()},
          {"steps_per_epoch", bench.experiment().plan.steps_per_epoch()},
          {"evaluated_images_per_step", bench.evaluated_per_step()},
          {"last_loss", bench.last_loss()},
          {"versions", build_versions()}};
}

}  // namespace ek
