#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "benchmarks/cases.h"
#include "benchmarks/machine/roof.h"

// Runs cases under Google Benchmark.
namespace ek::bench {

struct MeasureOptions {
  Device device;
  std::int64_t batch = 128;            // images
  std::string filter;                  // a regular expression, searched in Case::name(); "": all
  std::optional<Precision> precision;  // not given: float32 and bf16
  double min_time_s = 0.3;             // of a case
  std::int64_t footprint_mib = 0;      // 0: default_footprint_bytes()
  std::uint64_t seed = 0;              // of the operands
  std::vector<std::string> google;     // further flags, for Google Benchmark itself
};

// One case as it was measured. Rates are those of the fastest call.
struct Row {
  Case what;
  std::int64_t calls = 0;
  double median_s = 0, best_s = 0;

  double gflop_s() const { return what.flop / best_s / 1e9; }  // 0: the case has no operations
  double gb_s() const { return what.bytes / best_s / 1e9; }
};

// 0 where there is no roof, else the larger of GFLOP/s over the roof of its precision and GB/s over
// the copy roof.
struct Share {
  double value = 0;
  bool of_compute = false;  // it is that of GFLOP/s
};
Share share_of(const Row& row, const Roof& roof);

// The cases that the options name. Error for a filter that is no regular expression or that matches
// none.
std::vector<Case> select_cases(const MeasureOptions& options);

struct Results {
  Roof roof;  // the better of both measurements
  std::size_t footprint_bytes = 0;
  std::vector<Row> rows;
  std::string device;  // its name
};

// What is told while it runs, with the roof as it is known then.
struct Progress {
  std::function<void(const Results&)> begin;  // with no rows yet
  std::function<void(const Row&, const Roof&)> row;
  // This machine has nothing to call, or a version does not serve the case and says so.
  std::function<void(const std::string& name, const std::string& why)> skipped;
};

// Measures the roof, then the cases one after another. A case has as many sets of operands as are
// needed to move the footprint once, and its calls take them in turns. Then the roof again, a few
// times if a kernel was above it: something else must have run beside the first measurement. Error
// for a flag that Google Benchmark does not know.
Results measure(const MeasureOptions& options, const Progress& progress);

}  // namespace ek::bench
