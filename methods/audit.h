#pragma once
#include <functional>
#include <string>
#include <vector>

#include "engine/training/params.h"

namespace ek {

// One path by which a derivative is supposed to arrive, with the derivative that the method uses
// and a central difference of the very function that it claims to differentiate.
struct AuditLine {
  std::string path;     // "meta loss -> class weights"
  double norm = 0;      // of the gradient that the method uses
  double analytic = 0;  // its directional derivative
  double numeric = 0;   // the central difference along the same direction
  double error = 0;     // |analytic - numeric| / max(|analytic|, |numeric|)
  bool zero_by_definition = false;
  bool passed = false;
  std::string verdict;  // "ok", or what is wrong in words
};

struct Audit {
  std::vector<AuditLine> lines;
  bool passed() const;
  // An aligned table for people, one line per path.
  std::string table() const;
};

// Largest relative error that passes. Central differences in float64 lose about half the digits,
// and a ReLU kink inside the step a few more, so an honest derivative sits below 1e-5 and a cut one
// at 1.
inline constexpr double audit_tolerance = 1e-4;

// Checks `gradient` of `f` at `x` along the gradient itself and along a random direction (the worse
// one is reported). A zero gradient fails, unless it is zero by definition: then it must be zero.
AuditLine audit_path(const std::string& path, const std::function<double(const Params&)>& f,
                     const Params& x, const Params& gradient, bool zero_by_definition = false);

}  // namespace ek
