#include "methods/step_profile.h"

#include <algorithm>

#include "engine/atomic_file.h"
#include "engine/profile_report.h"

namespace ek {

void StepProfile::begin_step() {
  if (!wanted()) return;
  if (begun_ == options_.warmup) profiler_start();
  if (profiler_on()) scope_.emplace(step_scope_name);
  ++begun_;
  start_ = Clock::now();
}

void StepProfile::end_step() {
  if (!wanted()) return;
  scope_.reset();
  if (begun_ <= options_.warmup) {
    warmup_ms_.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start_).count());
  }
  if (begun_ == options_.warmup + options_.steps) finish();
}

void StepProfile::finish() {
  if (!wanted() || !profiler_on()) return;
  const std::vector<ProfileEvent> events = profiler_stop();
  double unprofiled_ms = options_.unprofiled_step_ms;
  if (unprofiled_ms == 0 && !warmup_ms_.empty()) {
    const auto middle = warmup_ms_.begin() + std::ptrdiff_t(warmup_ms_.size() / 2);
    std::ranges::nth_element(warmup_ms_, middle);
    unprofiled_ms = *middle;
  }
  if (!options_.profile.empty()) {
    write_file_atomically(options_.profile,
                          options_.title + "\n\n" +
                              profile_report(events, {.unprofiled_step_ms = unprofiled_ms,
                                                      .reference_ms = onednn_reference()}));
  }
  if (!options_.trace.empty()) write_file_atomically(options_.trace, chrome_trace(events));
}

}  // namespace ek
