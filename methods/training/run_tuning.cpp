#include "methods/training/run_tuning.h"

#include "engine/tuning/autotune.h"
#include "methods/session/session.h"
#include "methods/training/run_folder.h"

namespace ek {
namespace {

// One step, op by op, on a state of its own.
void try_step(const Experiment& experiment) {
  State state = experiment.initial_state();
  run_step(experiment, state, make_step(experiment, 0));
}

RunTuning of_resumed(const Experiment& experiment, const TrainOptions& options, const News& news) {
  RunTuning run{RunFolder::stored_tuning(options.out), "run", false};
  if (!options.tuning.empty()) {
    const std::string hash = read_tuning(options.tuning).hash();
    const std::string own = run.tuning ? run.tuning->hash() : "none";
    require(hash == own, "--tuning {}: its hash is {}, that of the run in {} {}", options.tuning,
            hash, options.out, own);
  }
  if (!run.tuning) return run;
  run.in_force = run.tuning->architecture == architecture_of(experiment.device);
  news(run.in_force
           ? fmt::format("kernel versions of the run's tuning.json, hash {}", run.tuning->hash())
           : fmt::format("the run's tuning.json is for {}: on {} kernels choose by rule",
                         run.tuning->architecture, experiment.device.str()));
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

RunTuning tuning_of_run(const Experiment& experiment, const TrainOptions& options,
                        const News& news) {
  if (!options.resume) {
    return choose_tuning(
        experiment.device, options.autotune, options.tuning, [&] { try_step(experiment); }, news);
  }
  require(!options.autotune,
          "--autotune: a run that is resumed keeps the kernel versions that it began with");
  require_tunable(false, options.tuning, experiment.device);
  return of_resumed(experiment, options, news);
}

}  // namespace ek
