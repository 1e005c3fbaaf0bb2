#include "apps/check/lists.h"

#include "apps/check/case.h"
#include "engine/tuning/tuning.h"
#include "kernels/base/versions.h"

namespace ek {

std::string list_of_ops(const std::string& filter) {
  std::string text, last;
  for (const CheckCase& one : matching_cases(check_cases(), filter)) {
    if (one.op != last) text += one.op + "\n";
    last = one.op;
  }
  return text;
}

std::string list_of_versions() {
  std::string text;
  for (const std::string_view function : kernels::versioned_functions()) {
    for (const std::string_view version : kernels::versions_of(function)) {
      text += fmt::format("{}={}\n", function, version);
    }
  }
  return text;
}

std::string list_of_tuning(Device device) {
  const Tuning* tuning = committed_tuning(device);
  if (!tuning) {
    return fmt::format(
        "{}: no committed table; {}\n", device.str(),
        device == Device{} ? "one version of each kernel" : "kernel versions by rule");
  }
  std::string text =
      fmt::format("{}: committed table for {}, hash {}, {} entries{}\n", device.str(),
                  tuning->architecture, tuning->hash(), tuning->entries.size(),
                  tuning->entries.empty() ? ": kernel versions by rule" : "");
  for (const TuningEntry& entry : tuning->entries) {
    text += fmt::format("{}={}  {}\n", entry.call.function,
                        kernels::versions_of(entry.call.function)[std::size_t(entry.version)],
                        kernels::describe(entry.call));
  }
  return text;
}

}  // namespace ek
