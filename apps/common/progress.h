#pragma once
#include <chrono>
#include <string>

#include "methods/training/trainer.h"

namespace ek {

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
