#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/check/perf.h"
#include "apps/check/table.h"

namespace ek {

struct CheckOptions {
  std::string mode;                        // test, grad, perf, support, ops, versions or tuning
  std::optional<Device> device;            // not given: every one at hand (perf: the CPU)
  std::string dtype;                       // not given: every one (grad: float64, perf: float32)
  std::string filter;                      // a regular expression that an op's name has to contain
  std::string markdown;                    // where the table goes, too
  std::vector<std::string> versions = {};  // FUNCTION=NAME (kernels/base/versions.h)
  double perf_seconds = 0.3;               // for each case
  bool progress = false;                   // says on stderr which op begins; not of perf
  // Measures the roof of a device for a type; may be empty.
  std::function<CheckRoof(Device, CheckType)> roof = {};
};

// What `ek-check` does. Prints to stdout; the number of checks that failed. Error where none was
// made at all, after the table.
int run_check_command(const CheckOptions& options);

// The table of mode support for these columns.
CheckTable check_support(const std::vector<CheckColumn>& columns,
                         const std::vector<CheckCase>& cases, bool progress = false);
// docs/coverage.md around the table.
std::string coverage_page(const CheckTable& table);

}  // namespace ek
