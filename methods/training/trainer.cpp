#include "methods/training/trainer.h"

#include <chrono>
#include <cmath>
#include <numeric>

#include "data/manifest.h"
#include "methods/session/checkpoint.h"
#include "methods/session/experiment.h"
#include "methods/session/step_runner.h"
#include "methods/training/finite.h"
#include "methods/training/pace.h"
#include "methods/training/price.h"
#include "methods/training/run_config.h"
#include "methods/training/run_folder.h"
#include "methods/training/run_summary.h"
#include "methods/training/run_tuning.h"
#include "methods/training/step_profile.h"

namespace ek {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Ends an evaluation that the observer has interrupted.
struct EvaluationCut {};

class Trainer {
 public:
  Trainer(const Recipe& recipe, const TrainOptions& options, const TrainObserver& observer)
      : options_(options),
        observer_(observer),
        claim_(claim_before_data(recipe)),
        experiment_(recipe, options.data, options.precision, options.device,
                    load_inputs(options.inputs, options.precision, options.device)),
        eval_every_(recipe.integer("eval.every")),
        save_every_(recipe.integer("checkpoint.every")),
        steps_per_graph_(steps_per_graph()),
        point_{.state = experiment_.initial_state(options_.init, options_.new_head)},
        tuning_(choose_tuning()),
        folder_(open_folder()) {
    if (options.resume) restore();
  }

  TrainEnd run() {
    // Or none, whatever was in force before.
    const TuningScope tuning(tuning_.in_force ? *tuning_.tuning : Tuning{});
    const std::int64_t total = experiment_.total_steps();
    end_ = options_.max_steps >= 0 ? std::min(options_.max_steps, total) : total;
    for (const std::string& line :
         run_summary({experiment_.recipe, experiment_.source, experiment_.split, *experiment_.model,
                      experiment_.plan, total})) {
      observer_.message(line);
    }
    price_ = price_of(experiment_, options_.prefetch);
    observer_.message(fmt::format("predicted peak of tensor memory{}: {}", memory_name(),
                                  peak_line(price_.peak)));
    StepProfile profile = step_profile();
    runner_.emplace(
        experiment_, point_.state, point_.step,
        StepRunner::Options{.prefetch = options_.prefetch, .steps_per_graph = steps_per_graph_});
    reset_memory_peak();
    start_ = Clock::now();
    first_step_ = point_.step;
    pace_ = {};

    // One that was cut short when the run was interrupted.
    if (evaluation_is_due() && !recorded_now() && !evaluate(true)) return interrupted();
    while (point_.step < end_) {
      if (observer_.interrupted()) return interrupted();
      profile.begin_step();
      done_ = runner_->advance(steps_to_stop(point_.step, end_, {eval_every_, save_every_}));
      for (const StepResult& result : done_) look_at(result);
      pace_.did(Pace::steps, std::ssize(done_));
      observe();
      profile.end_step();
      if (evaluation_is_due() && !evaluate(true)) return interrupted();
      if (point_.step < end_ && save_every_ > 0 && point_.step % save_every_ == 0) save();
    }
    profile.finish();
    // A stop that is not in the schedule is evaluated for its reader, and leaves no trace in what
    // a resumed run goes on from.
    if (end_ < total && !recorded_now() && !evaluate(false)) return interrupted();
    save();
    observer_.message(fmt::format("peak of tensor memory{}: {}; predicted {:.1f} MiB",
                                  memory_name(), peak_line(measured_peak()),
                                  double(price_.peak.total) / 1048576));
    return end_ < total ? TrainEnd::stopped_at_max_steps : TrainEnd::finished;
  }

 private:
  TrainEnd interrupted() {
    save();
    return TrainEnd::interrupted;
  }

  bool evaluation_is_due() const {
    return point_.step > 0 && (point_.step == experiment_.total_steps() ||
                               (eval_every_ > 0 && point_.step % eval_every_ == 0));
  }

  nlohmann::json config() const {
    return run_config(experiment_, options_, steps_per_graph_, tuning_.json());
  }

  // A new run's folder is made when all else that a run needs was found to be there.
  RunClaim claim_before_data(const Recipe& recipe) {
    if (!options_.resume) {
      RunClaim::require_new(options_.out);
      return {};
    }
    RunClaim claim = RunClaim::take(options_.out);
    RunFolder::take_up(options_, recipe);
    return claim;
  }

  RunTuning choose_tuning() {
    for (const std::string& file : {options_.profile, options_.trace}) {
      if (!file.empty()) AtomicFile can_be_written(file);
    }
    if (!options_.resume) claim_ = RunClaim::make(options_.out);
    if (!claim_.warning().empty()) observer_.message(claim_.warning());
    return tuning_of_run(experiment_, options_, observer_.message);
  }

  bool is_profiled() const { return !options_.profile.empty() || !options_.trace.empty(); }

  std::int64_t steps_per_graph() const {
    const std::int64_t steps =
        steps_per_graph_for(options_.steps_per_graph, experiment_.device, *experiment_.method);
    if (steps == 0 || !is_profiled()) return steps;
    observer_.message("profile, trace: steps run op by op, not in graphs");
    return 0;
  }

  StepProfile step_profile() const {
    return StepProfile(
        {.title = fmt::format("{}, {}, batch {}, {}, {} threads, from step {} on",
                              experiment_.recipe.name(), experiment_.model->name(),
                              price_.sizes.batches.at(0), name_of(options_.precision),
                              thread_count(), point_.step + StepProfile::default_warmup),
         .profile = options_.profile,
         .trace = options_.trace,
         .device = experiment_.device});
  }

  // Which memory is meant, where it is not the host's.
  std::string memory_name() const {
    return experiment_.device.in_host_memory() ? "" : " of " + experiment_.device.str();
  }

  MemoryPeak measured_peak() const {
    const MemoryStats stats = memory_stats(experiment_.device);
    return {stats.peak_bytes, stats.peak_total_bytes};
  }

  RunFolder open_folder() {
    const nlohmann::json manifest = manifest_json(experiment_.source, experiment_.split);
    return options_.resume
               ? RunFolder::reopen(std::move(claim_), config(), manifest, options_.other_data)
               : RunFolder::create(std::move(claim_), config(), manifest,
                                   tuning_.tuning ? &*tuning_.tuning : nullptr);
  }

  void restore() {
    if (folder_.load(point_)) {
      observer_.message(
          fmt::format("resuming at step {} on {}", point_.step, experiment_.device.str()));
    } else {
      observer_.message("no checkpoint yet, starting from the first step");
    }
    wall_before_s_ = folder_.cut_metrics(point_.step);
  }

  // A step that is done. What log.every asks for is written; on the cpu the loss is read always.
  void look_at(const StepResult& result) {
    ++point_.step;
    const std::int64_t every = experiment_.recipe.integer("log.every");
    const bool logged = point_.step % every == 0 || point_.step == 1;
    if (logged || experiment_.device == Device{}) check_loss(result);
    if (!logged) return;
    nlohmann::json line{{"kind", "train"},
                        {"step", point_.step},
                        {"epoch", result.epoch},
                        {"learning_rate", result.learning_rate}};
    line["loss"] = result.report.loss.item();
    for (const auto& [name, value] : result.report.numbers) line[name] = value();
    log(std::move(line));
  }

  void check_loss(const StepResult& result) {
    loss_ = result.report.loss.item();
    require(std::isfinite(loss_), "training: the loss of step {} is {} (learning rate {}); {}",
            result.step + 1, loss_, result.learning_rate, not_finite_advice);
  }
  // Of the step that was taken last.
  void check_loss() {
    if (!done_.empty()) check_loss(done_.back());
  }

  // In an evaluation with the images of it that are done, and how many there are.
  void observe(std::int64_t images_done = 0, std::int64_t images = 0) {
    WorkAhead ahead = work_ahead(point_.step, end_, eval_every_, save_every_);
    double present_s = 0;
    if (images_done > 0) {
      --ahead.evaluations;
      present_s =
          pace_.seconds_of_present_work() / double(images_done) * double(images - images_done);
    }
    observer_.progress({.step = point_.step,
                        .epoch = done_.empty() ? 0 : done_.back().epoch,
                        .end_step = end_,
                        .total_steps = experiment_.total_steps(),
                        .loss = loss_,
                        .learning_rate = done_.empty() ? 0 : done_.back().learning_rate,
                        .steps_per_s = pace_.steps_per_s(),
                        .seconds_left = pace_.seconds(ahead) + present_s,
                        .peak_bytes = memory_stats(experiment_.device).peak_total_bytes,
                        .images_done = images_done,
                        .images = images});
  }

  void log(nlohmann::json line) {
    line["wall_s"] = wall_s();
    folder_.log(line);
  }

  double rate() const {
    return double(point_.step - first_step_) / std::max(seconds_since(start_), 1e-9);
  }
  double wall_s() const { return wall_before_s_ + seconds_since(start_); }

  Metrics metrics_of(const Predictions& predictions) const {
    return compute_metrics(predictions, experiment_.split.class_counts, experiment_.evaluation);
  }

  // The test set and the images held out. False, and no result, where it was cut short.
  bool evaluate(bool scheduled) {
    check_loss();
    require_finite(checkpoint_tensors(point_.state, Scope::everything), point_.step);
    pace_.did(Pace::steps, 0);
    const std::vector<std::int64_t>& held_out = experiment_.split.meta_index;
    std::vector<std::int64_t> all(static_cast<std::size_t>(experiment_.source.test.count()));
    std::iota(all.begin(), all.end(), std::int64_t(0));
    nlohmann::json test;
    double validation = 0;
    try {
      test = to_json(metrics_of(watched(0).on_test(all)));
      if (!held_out.empty()) {
        validation = metrics_of(watched(std::ssize(all)).on_train(held_out)).overall;
      }
    } catch (const EvaluationCut&) {
      runner_->evaluator().watch({});
      return false;
    }
    runner_->evaluator().watch({});
    record(scheduled, std::move(test), held_out.empty() ? std::nullopt : std::optional(validation));
    pace_.did(Pace::evaluations, 1);
    return true;
  }

  // The evaluator, whose next call is observed: so many images of the evaluation are done.
  Evaluator& watched(std::int64_t before) {
    const std::int64_t images =
        experiment_.source.test.count() + std::ssize(experiment_.split.meta_index);
    runner_->evaluator().watch([this, before, images](std::int64_t done, std::int64_t) {
      observe(before + done, images);
      if (before + done < images && observer_.interrupted()) throw EvaluationCut{};
    });
    return runner_->evaluator();
  }

  void record(bool scheduled, nlohmann::json test, std::optional<double> validation) {
    test["step"] = point_.step;
    nlohmann::json line{
        {"kind", "eval"}, {"step", point_.step}, {"scheduled", scheduled}, {"test", test}};
    if (validation) {
      line["validation"] = {{"overall", *validation}};
      test["validation"] = *validation;
    }
    log(line);
    unscheduled_ = scheduled ? nlohmann::json() : test;
    observer_.message(fmt::format(
        "step {}: test accuracy {:.2f} %{}", point_.step, 100 * test["overall"].get<double>(),
        validation ? fmt::format(", validation {:.2f} %", 100 * *validation) : std::string()));
    if (scheduled) {
      point_.results["last"] = test;
      select(test, validation.has_value());
    } else if (!folder_.has_best()) {
      folder_.save_best(point_.state, point_.step, "last");
    }
  }

  void select(const nlohmann::json& test, bool held_out) {
    auto better = [&](const char* entry, const char* key) {
      return !point_.results.contains(entry) ||
             test[key].get<double>() > point_.results[entry][key].get<double>();
    };
    if (better("best_on_test", "overall")) point_.results["best_on_test"] = test;
    if (!held_out) {
      folder_.save_best(point_.state, point_.step, "last");
    } else if (better("best_by_validation", "validation")) {
      point_.results["best_by_validation"] = test;
      folder_.save_best(point_.state, point_.step, "validation");
    }
  }

  bool recorded_now() const {
    const nlohmann::json last = result("last");
    return last.is_object() && last.at("step") == point_.step;
  }

  // null where there is none yet
  nlohmann::json result(const char* entry) const {
    return point_.results.value(entry, nlohmann::json());
  }

  void save() {
    check_loss();
    pace_.did(Pace::steps, 0);
    folder_.save(point_);
    nlohmann::json summary{{"recipe", experiment_.recipe.name()},
                           {"method", experiment_.recipe.text("method.name")},
                           {"step", point_.step},
                           {"steps", experiment_.total_steps()},
                           {"finished", point_.step == experiment_.total_steps()},
                           {"last", unscheduled_.is_null() ? result("last") : unscheduled_},
                           {"best_by_validation", result("best_by_validation")},
                           {"best_on_test", result("best_on_test")},
                           {"device", experiment_.device.str()},
                           {"steps_per_graph", steps_per_graph_},
                           {"wall_s", wall_s()},
                           {"steps_per_s", rate()},
                           {"peak_bytes", measured_peak().total},
                           {"peak_bytes_by_use", bytes_by_use(measured_peak().by_use)},
                           {"predicted_peak_bytes", price_.peak.total},
                           {"predicted_peak_bytes_by_use", bytes_by_use(price_.peak.by_use)},
                           {"data_set_bytes", price_.data_set_bytes}};
    for (const auto& [name, values] : experiment_.method->figures(point_.state)) {
      summary["class_figures"][name] = values;
    }
    folder_.write_summary(summary);
    pace_.did(Pace::checkpoints, 1);
  }

  TrainOptions options_;
  TrainObserver observer_;
  RunClaim claim_;  // until folder_ has it
  Experiment experiment_;
  std::int64_t eval_every_, save_every_;  // steps
  std::int64_t end_ = 0;                  // the step at which this call stops
  std::int64_t steps_per_graph_;
  TrainingPoint point_;
  RunTuning tuning_;
  RunFolder folder_;
  nlohmann::json unscheduled_;  // metrics of an evaluation that is no part of the run's record
  MemoryPrice price_;
  std::optional<StepRunner> runner_;
  std::span<const StepResult> done_;  // the last steps
  double loss_ = 0;
  std::int64_t first_step_ = 0;
  Pace pace_;
  Clock::time_point start_ = Clock::now();
  double wall_before_s_ = 0;
};

}  // namespace

TrainEnd train(const Recipe& recipe, const TrainOptions& options, const TrainObserver& observer) {
  return Trainer(recipe, options, observer).run();
}

Audit audit_training(const Recipe& recipe, const TrainOptions& options) {
  // Large enough for several classes, small enough for float64 on any machine.
  constexpr std::int64_t tiny = 16;
  const Experiment experiment(recipe, options.data, Precision::float64, options.device,
                              load_inputs(options.inputs, Precision::float64, options.device),
                              tiny);
  const State state = experiment.initial_state(options.init);
  return experiment.method->audit(state, make_step(experiment, 0));
}

}  // namespace ek
