#include "engine/training/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <span>
#include <string>
#include <utility>

#include "engine/io/text.h"
#include "kernels/base/error.h"

namespace ek {
namespace {

template <class Value, std::size_t n>
Value parse(std::string_view key, std::string_view text,
            const std::array<std::pair<std::string_view, Value>, n>& known) {
  std::vector<std::string> names;
  for (const auto& [name, value] : known) {
    if (name == text) return value;
    names.emplace_back(name);
  }
  fail("schedule.{}: '{}', expected one of {}{}", key, text, fmt::join(names, ", "),
       did_you_mean(text, names));
}

double warmed(const ScheduleSpec& spec, std::int64_t t) {
  if (t >= spec.warmup_length) return spec.lr;
  const std::int64_t part = spec.warmup == ScheduleSpec::Warmup::ramp ? t : t + 1;
  return spec.warmup_start +
         (spec.lr - spec.warmup_start) * double(part) / double(spec.warmup_length);
}

double step_factor(const ScheduleSpec& spec, std::int64_t t) {
  const auto reached = std::ranges::upper_bound(spec.milestones, t) - spec.milestones.begin();
  if (reached == 0) return 1;
  if (!spec.gammas.empty()) return spec.gammas[std::size_t(reached - 1)];
  return std::pow(spec.gamma, double(reached));
}

double cosine(const ScheduleSpec& spec, std::int64_t t) {
  const double part = double(t - spec.cosine_begin) / double(spec.length - spec.cosine_begin);
  return spec.final_lr + (spec.lr - spec.final_lr) / 2 * (1 + std::cos(std::numbers::pi * part));
}

}  // namespace

ScheduleSpec::Kind parse_schedule_kind(std::string_view text) {
  using enum ScheduleSpec::Kind;
  using Row = std::pair<std::string_view, ScheduleSpec::Kind>;
  return parse("kind", text,
               std::array{Row{"constant", constant}, Row{"multistep", multistep},
                          Row{"cosine", ScheduleSpec::Kind::cosine}});
}

ScheduleSpec::Unit parse_schedule_unit(std::string_view text) {
  using enum ScheduleSpec::Unit;
  using Row = std::pair<std::string_view, ScheduleSpec::Unit>;
  return parse("unit", text, std::array{Row{"iteration", iteration}, Row{"epoch", epoch}});
}

ScheduleSpec::Warmup parse_schedule_warmup(std::string_view text) {
  using enum ScheduleSpec::Warmup;
  using Row = std::pair<std::string_view, ScheduleSpec::Warmup>;
  return parse("warmup", text, std::array{Row{"ramp", ramp}, Row{"count", count}});
}

void check_schedule(const ScheduleSpec& spec) {
  const auto rate = [](const char* key, double value) {
    require(std::isfinite(value) && value >= 0, "{}: {}, expected 0 or more", key, value);
  };
  require(spec.length > 0, "schedule.length: {}, expected above 0", spec.length);
  rate("optim.lr", spec.lr);
  rate("schedule.warmup_start", spec.warmup_start);
  rate("schedule.final_lr", spec.final_lr);
  rate("schedule.gamma", spec.gamma);
  for (double gamma : spec.gammas) rate("schedule.gammas", gamma);
  require(0 <= spec.warmup_length && spec.warmup_length <= spec.length,
          "schedule.warmup: {}, expected from 0 to the length of {}", spec.warmup_length,
          spec.length);
  for (std::size_t i = 0; i < spec.milestones.size(); ++i) {
    const std::int64_t before = i == 0 ? 0 : spec.milestones[i - 1];
    require(spec.milestones[i] > before, "schedule.milestones: {} after {}, expected rising",
            spec.milestones[i], before);
  }
  require(spec.gammas.empty() || spec.gammas.size() == spec.milestones.size(),
          "schedule.gammas: {} values, expected {} as there are milestones", spec.gammas.size(),
          spec.milestones.size());
  require(spec.kind == ScheduleSpec::Kind::multistep || spec.milestones.empty(),
          "schedule.milestones: {} values, expected none unless the kind is multistep",
          spec.milestones.size());
  require(0 <= spec.cosine_begin && spec.cosine_begin < spec.length,
          "schedule.cosine_begin: {}, expected from 0 to below the length of {}", spec.cosine_begin,
          spec.length);
  require(spec.kind != ScheduleSpec::Kind::cosine || spec.cosine_begin <= spec.warmup_length,
          "schedule.cosine_begin: {}, expected the warm-up's end of {} at most", spec.cosine_begin,
          spec.warmup_length);
}

double learning_rate(const ScheduleSpec& spec, std::int64_t t) {
  require(t >= 0, "schedule: time {}, expected 0 or more", t);
  t = std::min(t, spec.length);
  switch (spec.kind) {
    case ScheduleSpec::Kind::constant:
      break;
    case ScheduleSpec::Kind::multistep:
      return warmed(spec, t) * step_factor(spec, t);
    case ScheduleSpec::Kind::cosine:
      if (t >= spec.warmup_length) return cosine(spec, t);
  }
  return warmed(spec, t);
}

std::int64_t total_steps(const ScheduleSpec& spec, std::int64_t steps_per_epoch) {
  require(steps_per_epoch > 0, "schedule: {} steps per epoch, expected above 0", steps_per_epoch);
  if (spec.unit == ScheduleSpec::Unit::iteration) return spec.length;
  std::int64_t steps = 0;
  require(!__builtin_mul_overflow(spec.length, steps_per_epoch, &steps),
          "schedule.length: {} epochs of {} steps are too many", spec.length, steps_per_epoch);
  return steps;
}

std::int64_t schedule_time(const ScheduleSpec& spec, std::int64_t step,
                           std::int64_t steps_per_epoch) {
  require(steps_per_epoch > 0, "schedule: {} steps per epoch, expected above 0", steps_per_epoch);
  return spec.unit == ScheduleSpec::Unit::iteration ? step : step / steps_per_epoch;
}

}  // namespace ek
