#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <initializer_list>

namespace ek {

// How much of each kind of work a run has before it, until it stops.
struct WorkAhead {
  std::int64_t steps = 0, evaluations = 0, checkpoints = 0;
};

// After `step` steps of a run that stops at `end`, before what is due after that step: every so
// many steps (0: never) an evaluation and a checkpoint, and one of each at the end.
WorkAhead work_ahead(std::int64_t step, std::int64_t end, std::int64_t eval_every,
                     std::int64_t save_every);

// From `step` to `end`, or to the next multiple of one of `every` if that comes first. Those that
// are 0 have none.
std::int64_t steps_to_stop(std::int64_t step, std::int64_t end,
                           std::initializer_list<std::int64_t> every);

// What a run spends its time on, each kind of work measured by itself.
class Pace {
 public:
  enum Work : std::uint8_t { steps, evaluations, checkpoints };

  // `count` pieces of this work are done, in the time since the last call.
  void did(Work work, std::int64_t count);
  double steps_per_s() const;  // of steps alone; 0 before the first
  // A kind that was not measured yet counts nothing.
  double seconds(const WorkAhead& ahead) const;
  // Since the last call of did().
  double seconds_of_present_work() const;

 private:
  using Clock = std::chrono::steady_clock;
  double each(Work work) const;

  Clock::time_point mark_ = Clock::now();
  std::array<double, 3> seconds_{};
  std::array<std::int64_t, 3> counts_{};
};

}  // namespace ek
