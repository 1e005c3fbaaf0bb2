#pragma once
#include <string>
#include <vector>

#include "apps/common/status_line.h"
#include "methods/training/options.h"

namespace ek {

// What to show of a run: a bar where `bar`, and what matters most with the lowest ranks.
std::vector<StatusField> progress_fields(const Progress& progress, bool bar);

// Shows progress on stderr: a bar that is redrawn on a terminal, a plain line every few seconds
// elsewhere.
class ProgressPrinter {
 public:
  void show(const Progress& progress);
  // A line of its own, above the bar.
  void message(const std::string& text) { line_.message(text); }

 private:
  StatusLine line_;
};

}  // namespace ek
