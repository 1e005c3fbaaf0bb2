#include "methods/training/pace.h"

#include <algorithm>

namespace ek {
namespace {

// Multiples of `every` in [from, to], which are positive.
std::int64_t multiples(std::int64_t every, std::int64_t from, std::int64_t to) {
  return every > 0 && from <= to ? to / every - (from - 1) / every : 0;
}

}  // namespace

WorkAhead work_ahead(std::int64_t step, std::int64_t end, std::int64_t eval_every,
                     std::int64_t save_every) {
  const std::int64_t from = std::max<std::int64_t>(step, 1);
  return {.steps = std::max<std::int64_t>(end - step, 0),
          .evaluations = multiples(eval_every, from, end - 1) + 1,
          .checkpoints = multiples(save_every, from, end - 1) + 1};
}

std::int64_t steps_to_stop(std::int64_t step, std::int64_t end,
                           std::initializer_list<std::int64_t> every) {
  std::int64_t stop = end;
  for (const std::int64_t n : every) {
    if (n > 0) stop = std::min(stop, (step / n + 1) * n);
  }
  return stop - step;
}

void Pace::did(Work work, std::int64_t count) {
  seconds_[work] += seconds_of_present_work();
  counts_[work] += count;
  mark_ = Clock::now();
}

double Pace::seconds_of_present_work() const {
  return std::chrono::duration<double>(Clock::now() - mark_).count();
}

double Pace::each(Work work) const {
  return counts_[work] > 0 ? seconds_[work] / double(counts_[work]) : 0;
}

double Pace::steps_per_s() const {
  return counts_[steps] > 0 ? double(counts_[steps]) / std::max(seconds_[steps], 1e-9) : 0;
}

double Pace::seconds(const WorkAhead& ahead) const {
  return double(ahead.steps) * each(steps) + double(ahead.evaluations) * each(evaluations) +
         double(ahead.checkpoints) * each(checkpoints);
}

}  // namespace ek
