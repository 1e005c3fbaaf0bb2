#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/profile/profiler.h"
#include "engine/tensor/device.h"

namespace ek {

// Profiles a few steps of a loop and writes what they took: a text file with the tables of
// engine/profile/profile_report.h, and a Chrome trace. Either name may be empty; with both empty
// the loop runs as it is. Error when a file cannot be written. What the times are of depends on the
// device: the text says it.
class StepProfile {
 public:
  static constexpr std::int64_t default_warmup = 3, default_steps = 5;

  struct Options {
    std::string title;  // first line of the text, e.g. "resnet32, batch 128, float32, 2 threads"
    std::string profile = {}, trace = {};  // file names
    Device device = {};                    // whose work the steps are
    std::int64_t warmup = default_warmup;  // steps before, whose median time is told beside
    std::int64_t steps = default_steps;
    double unprofiled_step_ms = 0;  // 0: the median of the warm-up steps
  };
  explicit StepProfile(Options options) : options_(std::move(options)) {}

  // Around each step. After the last one that counts the files are written.
  void begin_step();
  void end_step();
  // Writes the files if the loop ended before the last step that counts; nothing if no step did.
  void finish();

 private:
  bool wanted() const { return !options_.profile.empty() || !options_.trace.empty(); }

  using Clock = std::chrono::steady_clock;
  Options options_;
  std::int64_t begun_ = 0;
  Clock::time_point start_;
  std::vector<double> warmup_ms_;
  std::optional<ProfileScope> scope_;
};

}  // namespace ek
