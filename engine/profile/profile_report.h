#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/profile/profiler.h"

namespace ek {

// The scope that a program puts around each training step it profiles; what the thread does between
// two of them is no part of a step.
inline constexpr std::string_view step_scope_name = "step";

struct ProfileReportOptions {
  double unprofiled_step_ms = 0;  // what a step takes without the profiler; 0: not known
  // Milliseconds of one call of another library's primitive for a convolution, with its name for
  // the head of the column. nullopt where it has none.
  std::function<std::optional<double>(const ProfiledConv&)> reference_ms = {};
  std::string reference = "oneDNN";
};

// oneDNN's own primitive, measured here and now (kernels/cpu/conv/onednn_rate.h), each shape once;
// float32 and bfloat16, nullopt without oneDNN.
std::function<std::optional<double>(const ProfiledConv&)> onednn_reference();

// Text in four parts, all per step except the first:
//   ops      profile_table of all events
//   shapes   per op and shape: calls, ms, share of the step, GFLOP/s and GB/s; for convolutions the
//            reference's GFLOP/s and ours over it (1 is as fast, 2 twice as fast)
//   layers   per layer: ms by phase, share of the step
//   totals   the time inside scopes against the measured time of the steps
// Times are self times, so nested scopes count once. Events of other threads, as the loader's,
// count in the first part and in a line of the last. Without a step scope the events are one step.
std::string profile_report(const std::vector<ProfileEvent>& events,
                           const ProfileReportOptions& options = {});

}  // namespace ek
