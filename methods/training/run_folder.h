#pragma once
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "engine/io/atomic_file.h"
#include "engine/io/safetensors.h"
#include "engine/tuning/tuning.h"
#include "methods/method.h"
#include "methods/training/options.h"
#include "methods/training/run_claim.h"

namespace ek {

// Where a training run stands between two steps: everything that the next step depends on, and the
// best results so far. What a checkpoint stores.
struct TrainingPoint {
  std::int64_t step = 0;  // steps done
  State state;
  nlohmann::json results = nlohmann::json::object();  // last, best_by_validation, best_on_test
};

// The folder of a run. Files are written beside and renamed; metrics.jsonl grows line by line.
class RunFolder {
 public:
  // A new run (RunClaim::make), with a tuning.json where there is a table of kernel versions;
  // config["tuning"]["hash"] is its hash then, and config["tuning"] null where there is none. The
  // folder goes with this object unless a checkpoint was saved or keep() called.
  static RunFolder create(RunClaim claim, const nlohmann::json& config,
                          const nlohmann::json& manifest, const Tuning* tuning = nullptr);
  // A run that was interrupted (RunClaim::take): its split and data must be these. Error naming the
  // first difference. With `other_data` the classes may have other names and the images
  // another size (data/manifest.h); the run's manifest is the given one from then on.
  static RunFolder reopen(RunClaim claim, const nlohmann::json& config,
                          const nlohmann::json& manifest, bool other_data = false);

  // config.json of the run in `path`. Error where it is none.
  static nlohmann::json stored_config(const std::filesystem::path& path);
  // For a run that is resumed in options.out. Error that names the first key in which it would
  // differ from what it was: of the recipe, else the precision or the starting weights; these are
  // in `options` afterwards, or none where there is a checkpoint to go on from.
  static void take_up(TrainOptions& options, const Recipe& recipe);
  // The table of the run in `path`, its tuning.json; null where it began with none. Error where the
  // file is not the one whose hash config.json has.
  static std::optional<Tuning> stored_tuning(const std::filesystem::path& path);

  // Fills `point`, whose state has the parts of the run, from the last checkpoint; false if the
  // run ended before its first one. Error where it is one of another table of kernel versions.
  bool load(TrainingPoint& point) const;
  // last.safetensors. Error, and the one before stays, where a number is not finite
  // (methods/training/finite.h).
  void save(const TrainingPoint& point);
  // best.safetensors: all that inference needs. `selected_by` is "validation" or, where nothing is
  // held out, "last". What is not finite is refused as above.
  void save_best(const State& state, std::int64_t step, const std::string& selected_by);
  bool has_best() const;

  // Drops lines of metrics.jsonl after `step`; returns the wall time of the last line kept, s.
  double cut_metrics(std::int64_t step);
  void log(const nlohmann::json& line);
  void write_summary(const nlohmann::json& summary) const;

  // The folder stays, though nothing was saved.
  void keep() { claim_.keep(); }

 private:
  RunFolder(RunClaim claim, const nlohmann::json& config, const nlohmann::json& manifest);
  SafetensorsMetadata metadata(std::int64_t step) const;

  RunClaim claim_;
  std::filesystem::path path_;
  std::string recipe_text_, manifest_text_, precision_;
  std::string tuning_hash_;  // "": the run has no tuning.json
  std::unique_ptr<JsonLines> metrics_;
};

}  // namespace ek
