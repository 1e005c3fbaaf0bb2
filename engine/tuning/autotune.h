#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/tensor/device.h"
#include "engine/tuning/tuning.h"

namespace ek {

// Another version than the rule's is chosen where it takes this share less time: below, two
// measurements of one version differ as much.
inline constexpr double autotune_margin = 0.03;

// Chooses versions by measuring: each new call is run with every version that serves it, on the
// operands that it came with, before it runs with the version that is chosen. A time is the median
// over several rounds, of which each runs the call often enough for the clock, in a graph, so that
// a launch costs what it costs in a captured step. A call that launches others (the plain version
// of a composite) is timed with the versions that the table in force and the rules give them.
class Autotuner final : public kernels::CallTuner {
 public:
  // Calls that `known` decides are not measured. Error for the cpu, and where `known` is for
  // another architecture.
  Autotuner(Device device, const Tuning& known);

  int choose(const kernels::Call& call, unsigned served, int rule,
             const kernels::Repeat& again) override;

  // What is known and what was measured.
  Tuning tuning() const;
  std::size_t measured() const { return measured_; }  // calls
  std::size_t changed() const { return changed_; }  // of these, to another version than the rule's

 private:
  double median_us(const kernels::Repeat& again) const;

  Device device_;
  std::map<kernels::Call, TuningEntry> entries_;
  std::size_t measured_ = 0, changed_ = 0;
};

// The table for what step() launches on this thread, eagerly. What step() computes is void: calls
// whose operands lie where their results go run several times. `news` gets one line.
Tuning autotune(Device device, const std::function<void()>& step,
                const std::function<void(const std::string&)>& news, const Tuning& known = {});

}  // namespace ek
