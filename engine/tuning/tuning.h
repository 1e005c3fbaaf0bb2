#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tensor/device.h"
#include "kernels/base/tuning.h"

namespace ek {

// One line of a table: which version a call runs, and how that was decided.
struct TuningEntry {
  enum class Origin : std::uint8_t {
    measured,  // the fastest of those in median_us, or the rule's where none is clearly faster
    given,     // written by somebody who did not measure
  };
  kernels::Call call;
  int version = 0;
  Origin origin = Origin::given;
  // Of each version that serves the call: its place, and the median time of a call.
  std::vector<std::pair<int, double>> median_us = {};
};

// A table of kernel versions as a file has it (docs/cuda.md, "Tuning"): JSON with "format",
// "architecture", "cuda" and "entries".
struct Tuning {
  static constexpr int format = 1;

  std::string architecture;  // "sm_90", "simt": whose kernels these are
  std::string cuda;          // the toolkit of the build that measured, "13.0"; "" without CUDA
  std::vector<TuningEntry> entries;

  // The file, entries sorted, one a line, times to a nanosecond. What is written differently and
  // says the same has the same text, once it is read.
  std::string text() const;
  // Of text(), 16 hexadecimal digits.
  std::string hash() const;
  // For kernels/base/tuning.h. Error where a call comes twice.
  kernels::TuningTable table() const;
};

// The inverse of text(); any order, any white space. Error in one line, starting with `where`, for
// what is no such table: no JSON, another format, keys that are missing, unknown or there twice,
// unknown functions, versions or sizes, times that do not belong to the entry, a call that comes
// twice.
Tuning parse_tuning(const std::string& text, const std::string& where);
Tuning read_tuning(const std::filesystem::path& file);

// "simt" or "sm_90"; "" for the cpu, whose kernels have one version each.
std::string architecture_of(Device device);

// Error starting with `where` unless the table is for the device.
void require_for(const Tuning& tuning, Device device, const std::string& where);

// The table of kernels/cuda/tuning that this build holds for the device's architecture, or null.
const Tuning* committed_tuning(Device device);

// Puts a table in force while it lives.
class TuningScope {
 public:
  explicit TuningScope(const Tuning& tuning) : table_(tuning.table()), scope_(&table_) {}

 private:
  kernels::TuningTable table_;
  kernels::ScopedTuning scope_;
};

// The committed table, or none, in force from here on; for programs, before they begin.
void use_committed_tuning(Device device);

}  // namespace ek
