#include "methods/training/run_tuning.h"

#include "engine/tuning/autotune.h"
#include "methods/training/run_folder.h"

namespace ek {
namespace {

// One step of the task, op by op, on a state, a method and an optimiser of its own.
void try_step(const Task& task) {
  TrainState state = task.initial_state();
  const auto method = task.make_method();
  Sgd optimizer(task.recipe.optimizer());
  const auto segments = optimizer_segments(state.params, task.recipe.number("optim.weight_decay"),
                                           task.recipe.groups());
  const double learning_rate = task.learning_rate(0);
  const Batch train = make_batch(task.train_stream, 0);
  const Batch meta = task.has_meta ? make_batch(task.meta_stream, 0) : Batch{};
  method->step(state, {.learning_rate = learning_rate,
                       .train = train,
                       .meta = task.has_meta ? &meta : nullptr,
                       .apply = [&](const Params& gradient) {
                         optimizer.step(state.params, flat_gradient(gradient), learning_rate,
                                        segments);
                       }});
}

RunTuning of_resumed(const Task& task, const TrainOptions& options, const News& news) {
  RunTuning run{RunFolder::stored_tuning(options.out), "run", false};
  if (!options.tuning.empty()) {
    const std::string hash = read_tuning(options.tuning).hash();
    const std::string own = run.tuning ? run.tuning->hash() : "none";
    require(hash == own, "--tuning {}: its hash is {}, that of the run in {} {}", options.tuning,
            hash, options.out, own);
  }
  if (!run.tuning) return run;
  run.in_force = run.tuning->architecture == architecture_of(task.device);
  news(run.in_force
           ? fmt::format("kernel versions of the run's tuning.json, hash {}", run.tuning->hash())
           : fmt::format("the run's tuning.json is for {}: on {} kernels choose by rule",
                         run.tuning->architecture, task.device.str()));
  return run;
}

}  // namespace

nlohmann::json RunTuning::json() const {
  if (!tuning) return nullptr;
  return {{"from", from},
          {"architecture", tuning->architecture},
          {"hash", tuning->hash()},
          {"entries", tuning->entries.size()}};
}

void require_tunable(bool autotune, const std::string& file, Device device) {
  if (!autotune && file.empty()) return;
  require(!autotune || file.empty(),
          "--autotune, --tuning: expected one of them: to measure, or to take what was measured");
  require(device != Device{},
          "{}: the cpu has one version of each kernel; simt and cuda have several",
          autotune ? "--autotune" : "--tuning");
}

RunTuning choose_tuning(Device device, bool autotune, const std::string& file,
                        const std::function<void()>& step, const News& news, const Tuning& known) {
  require_tunable(autotune, file, device);
  if (autotune) {
    RunTuning run{ek::autotune(device, step, news, known), "autotune", true};
    release_free_memory();
    return run;
  }
  if (!file.empty()) {
    RunTuning run{read_tuning(file), "file", true};
    require_for(*run.tuning, device, file);
    news(fmt::format("kernel versions of {}, hash {}", file, run.tuning->hash()));
    return run;
  }
  const Tuning* committed = committed_tuning(device);
  if (!committed || committed->entries.empty()) return {};
  return {*committed, "committed", true};
}

RunTuning tuning_of_run(const Task& task, const TrainOptions& options, const News& news) {
  if (!options.resume) {
    return choose_tuning(
        task.device, options.autotune, options.tuning, [&] { try_step(task); }, news);
  }
  require(!options.autotune,
          "--autotune: a run that is resumed keeps the kernel versions that it began with");
  require_tunable(false, options.tuning, task.device);
  return of_resumed(task, options, news);
}

}  // namespace ek
