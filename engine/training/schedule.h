#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace ek {

// A learning rate as a pure function of time t = 0, 1, 2, ... in the schedule's unit (spec
// data-protocol 6.2, 6.3). The warm-up comes first; from its end on
//
//   constant    lr
//   multistep   lr * gamma^(number of milestones <= t), or with `gammas` lr * gammas[i] for the
//               last milestone i <= t (so each is relative to lr, not to the one before)
//   cosine      final_lr + (lr - final_lr) / 2 * (1 + cos(pi (t - b) / (length - b))),
//               b = cosine_begin
//
// and a warm-up of n = warmup_length from s = warmup_start
//
//   ramp        s + (lr - s) * t / n        for t < n: starts at s
//   count       s + (lr - s) * (t + 1) / n  for t < n: ends at lr (LDAM, with s = 0)
//
// Milestones count in the warm-up too.
struct ScheduleSpec {
  enum class Kind { constant, multistep, cosine };
  enum class Unit { iteration, epoch };
  enum class Warmup { ramp, count };

  Kind kind = Kind::constant;
  Unit unit = Unit::epoch;
  std::int64_t length = 0;  // of the run, in units
  double lr = 0.1;
  std::int64_t warmup_length = 0;  // in units; 0 is none
  double warmup_start = 0;         // a learning rate, not a factor
  Warmup warmup = Warmup::ramp;
  std::vector<std::int64_t> milestones;  // in units, rising
  double gamma = 0.1;
  std::vector<double> gammas;  // empty, or one per milestone
  double final_lr = 0;
  std::int64_t cosine_begin = 0;
};

// The names of recipes ("multistep", "epoch", "ramp"); Error with the known ones otherwise.
ScheduleSpec::Kind parse_schedule_kind(std::string_view text);
ScheduleSpec::Unit parse_schedule_unit(std::string_view text);
ScheduleSpec::Warmup parse_schedule_warmup(std::string_view text);

// Error, starting with the recipe key ("schedule.length"), for a spec that makes no sense.
void check_schedule(const ScheduleSpec& spec);

// t from 0 on; past the end the value at `length` stays. `spec` has passed check_schedule.
double learning_rate(const ScheduleSpec& spec, std::int64_t t);

// The steps of the whole run, and the time t of a step, when an epoch has `steps_per_epoch`.
std::int64_t total_steps(const ScheduleSpec& spec, std::int64_t steps_per_epoch);
std::int64_t schedule_time(const ScheduleSpec& spec, std::int64_t step,
                           std::int64_t steps_per_epoch);

}  // namespace ek
