#include "methods/training/step_profile.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/io/atomic_file.h"
#include "engine/profile/profile_report.h"

namespace ek {
namespace {

const std::function<std::optional<double>(const ProfiledConv&)> no_reference;

// What the times are times of; a line, or nothing on the CPU, where there is no doubt.
std::string measured_on(Device device) {
  switch (device.kind) {
    case Device::Kind::cpu:
      break;
    case Device::Kind::simt:
      return "device simt: times of the host executor, which are those of no GPU\n";
    case Device::Kind::cuda:
      return fmt::format(
          "device {}: while profiling each op waits for its kernels, so that its time is launch, "
          "run and wait; a step without the profiler does not wait between ops\n",
          device.str());
  }
  return "";
}

}  // namespace

void StepProfile::begin_step() {
  if (!wanted()) return;
  synchronise(options_.device);
  if (begun_ == options_.warmup) profiler_start();
  if (profiler_on()) scope_.emplace(step_scope_name);
  ++begun_;
  start_ = Clock::now();
}

void StepProfile::end_step() {
  if (!wanted()) return;
  synchronise(options_.device);
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
  const bool on_cpu = options_.device == Device{};
  if (!options_.profile.empty()) {
    write_file_atomically(
        options_.profile,
        options_.title + "\n" + measured_on(options_.device) + "\n" +
            profile_report(events, {.unprofiled_step_ms = unprofiled_ms,
                                    .reference_ms = on_cpu ? onednn_reference() : no_reference}));
  }
  if (!options_.trace.empty()) write_file_atomically(options_.trace, chrome_trace(events));
}

}  // namespace ek
