#include "engine/tuning/autotune.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <optional>

#include "engine/graph/graph.h"
#include "engine/memory/cuda_runtime.h"
#include "kernels/base/error.h"
#include "kernels/base/versions.h"

namespace ek {
namespace {

// How a median is taken. The host executor is slow and its clock needs no repetition.
struct Sampling {
  int warmup, rounds, most_repeats;
  double round_us;  // a round takes about so long
};
Sampling sampling_on(Device device) {
  if (device.kind == Device::Kind::simt)
    return {.warmup = 0, .rounds = 3, .most_repeats = 1, .round_us = 0};
  return {.warmup = 1, .rounds = 7, .most_repeats = 500, .round_us = 2000};
}

// Of f() and what it puts on the device's queue.
template <class F>
double timed_us(Device device, F&& f) {
  using Clock = std::chrono::steady_clock;
  synchronise(device);
  const auto start = Clock::now();
  f();
  synchronise(device);
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ptrdiff_t(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

}  // namespace

Autotuner::Autotuner(Device device, const Tuning& known) : device_(device) {
  require(device.kind != Device::Kind::cpu, "autotune: the cpu has one version of each kernel");
  if (known.entries.empty()) return;
  require_for(known, device, "autotune");
  for (const TuningEntry& entry : known.entries) entries_.emplace(entry.call, entry);
}

double Autotuner::median_us(const kernels::Repeat& again) const {
  const Sampling sampling = sampling_on(device_);
  for (int i = 0; i < sampling.warmup; ++i) again();  // kernels are loaded when they are first run
  const double once_us = timed_us(device_, again);
  const int repeats =
      std::clamp(int(sampling.round_us / std::max(once_us, 1.0)), 1, sampling.most_repeats);
  Graph graph = Graph::capture(device_, [&] {
    for (int i = 0; i < repeats; ++i) again();
  });
  std::vector<double> times_us;
  for (int i = 0; i < sampling.rounds; ++i) {
    times_us.push_back(timed_us(device_, [&] { graph.replay(); }) / repeats);
  }
  return median(std::move(times_us));
}

int Autotuner::choose(const kernels::Call& call, unsigned served, int rule,
                      const kernels::Repeat& again) {
  if (const auto it = entries_.find(call); it != entries_.end()) {
    const int version = it->second.version;
    require((served >> version & 1u) != 0, "autotune: version '{}' does not serve {}",
            kernels::versions_of(call.function)[std::size_t(version)], kernels::describe(call));
    return version;
  }
  if (std::popcount(served) < 2) return rule;
  TuningEntry entry{.call = call, .version = rule, .origin = TuningEntry::Origin::measured};
  const auto versions = kernels::versions_of(call.function);
  double rule_us = 0, best_us = 0;
  int best = rule;
  for (int v = 0; v < int(versions.size()); ++v) {
    if ((served >> v & 1u) == 0) continue;
    const kernels::ScopedVersion named(call.function, versions[std::size_t(v)]);
    const double us = median_us(again);
    if (entry.median_us.empty() || us < best_us) {
      best = v;
      best_us = us;
    }
    if (v == rule) rule_us = us;
    entry.median_us.emplace_back(v, us);
  }
  if (best_us < (1 - autotune_margin) * rule_us) entry.version = best;
  ++measured_;
  changed_ += entry.version != rule;
  return entries_.emplace(call, std::move(entry)).first->second.version;
}

Tuning Autotuner::tuning() const {
  Tuning tuning{.architecture = architecture_of(device_),
                .cuda = device_.kind == Device::Kind::cuda ? cuda::toolkit() : "",
                .entries = {}};
  for (const auto& [call, entry] : entries_) tuning.entries.push_back(entry);
  return tuning;
}

Tuning autotune(Device device, const std::function<void()>& step,
                const std::function<void(const std::string&)>& news, const Tuning& known) {
  Autotuner tuner(device, known);
  {
    // Rules beneath, not another table: what is measured shall not depend on what was in force.
    const kernels::ScopedTuning none(nullptr);
    const kernels::ScopedTuner scope(&tuner);
    step();
  }
  synchronise(device);
  const Tuning tuning = tuner.tuning();
  news(fmt::format(
      "autotune: {} calls measured on {}, {} of them faster with another version than the rule's "
      "by {:.0f} % or more; {} entries, hash {}",
      tuner.measured(), device.str(), tuner.changed(), 100 * autotune_margin, tuning.entries.size(),
      tuning.hash()));
  return tuning;
}

}  // namespace ek
