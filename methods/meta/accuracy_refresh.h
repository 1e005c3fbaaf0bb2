#pragma once
#include <cstdint>
#include <string>

#include "methods/step.h"

namespace ek {

// When class accuracies are measured anew: "epoch" (at the start of each but the first) or
// "iterations:N" (before every N-th step). Before the first time nothing is known.
class AccuracyRefresh {
 public:
  // Error for any other text.
  explicit AccuracyRefresh(const std::string& text);
  bool is_due(const StepStart& start) const {
    if (every_ == 0) return start.first_of_epoch && start.epoch > 0;
    return start.step > 0 && start.step % every_ == 0;
  }

 private:
  std::int64_t every_;  // 0: epoch
};

}  // namespace ek
