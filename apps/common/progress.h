#pragma once
#include <chrono>
#include <string>

#include "methods/training/trainer.h"

namespace ek {

// The line for a terminal of so many columns: with what fits, a bar in front where there is room.
std::string progress_line(const Progress& progress, std::size_t columns);

// Shows progress on stderr: a bar that is redrawn on a terminal, a plain line every few seconds
// elsewhere.
class ProgressPrinter {
 public:
  ProgressPrinter();
  ~ProgressPrinter();
  void show(const Progress& progress);
  // A line of its own, above the bar.
  void message(const std::string& text);

 private:
  void clear();
  bool terminal_, drawn_ = false;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace ek
