#pragma once
#include <functional>
#include <optional>
#include <string>

#include "apps/check/case.h"

namespace ek {

// What this machine reaches: GB/s of copying, GFLOP/s of a large product in the type.
struct CheckRoof {
  double copy_gb_s = 0, gflop_s = 0;
};

struct PerfRow {
  std::string op, name, part;   // part: forward, vjp or jvp
  double ms = 0;                // the best of several
  double flops = 0, bytes = 0;  // as the ops count them (engine/profile/profiler.h)

  double gb_s() const { return bytes / ms * 1e-6; }
  double gflop_s() const { return flops / ms * 1e-6; }
  // Of the nearer roof: 1 is at it. Small working sets may pass the copying roof, from the cache.
  double share(const CheckRoof& roof) const;
};

// Mode perf of one case: forward, vjp and jvp, each several times for about `seconds` in all and at
// least twice. What is refused is not in the result, nor an op without the products of the type.
std::vector<PerfRow> time_case(const CheckCase& one, Device device, CheckType type, double seconds);

std::string perf_head(bool roof);
std::string perf_line(const PerfRow& row, const std::optional<CheckRoof>& roof);

}  // namespace ek
