#include "methods/audit.h"

#include <algorithm>
#include <cmath>

#include "engine/tensor/random.h"

namespace ek {
namespace {

// How far a probe goes. Each ReLU kink in between costs accuracy in proportion to the way (1e-5
// gives errors of 1e-3 on a ResNet-32), rounding in proportion to its inverse: a loss of a few
// units, exact to 1e-15, leaves about 1e-7 of a slope of 1 at the first. Along slopes far below 1,
// as those of trained parameters, that is too near, and the others are tried: a derivative that is
// right agrees at one of them, one that is wrong at none.
constexpr double displacements[] = {2e-8, 2e-7, 2e-6};

struct Slope {
  double analytic, numeric, error;
};

Slope compare(const std::function<double(const Params&)>& f, const Params& x,
              const Params& gradient, const Params& direction, double displacement) {
  const double eps = displacement / norm(direction);
  const double numeric =
      (f(add_scaled(x, eps, direction)) - f(add_scaled(x, -eps, direction))) / (2 * eps);
  const double analytic = dot(gradient, direction);
  const double scale = std::max(std::abs(analytic), std::abs(numeric));
  const double error = scale == 0 ? 0 : std::abs(analytic - numeric) / scale;
  return {analytic, numeric, error};
}

Params random_direction(const Params& like) {
  Tensor flat = Tensor::empty({like.numel()}, DType::float64);
  double* values = flat.output<double>();
  const RandomStream random(0, Purpose::test);
  for (std::int64_t i = 0; i < flat.numel(); ++i) values[i] = random.normal(std::uint64_t(i));
  return like.over(flat.to(like.device()));
}

// The slope along the gradient, and the larger of its error and that along a random direction.
Slope probe(const std::function<double(const Params&)>& f, const Params& x, const Params& gradient,
            double displacement) {
  const double length = norm(gradient);
  const Params random = random_direction(x);
  if (length == 0) return compare(f, x, gradient, random, displacement);
  Slope slope = compare(f, x, gradient, gradient, displacement);
  const Slope other = compare(f, x, gradient, random, displacement);
  // Along a random direction the derivative may be a small difference of large terms; only the
  // error against the gradient's own size counts there.
  const double error = std::abs(other.analytic - other.numeric) /
                       std::max(length * norm(random) / std::sqrt(double(x.numel())), 1e-300);
  if (!(error <= slope.error)) slope.error = error;
  return slope;
}

}  // namespace

bool Audit::passed() const {
  return !lines.empty() && std::ranges::all_of(lines, [](const auto& line) { return line.passed; });
}

std::string Audit::table() const {
  std::string text = fmt::format("{:<34} {:>11} {:>14} {:>14} {:>9}  {}\n", "path", "|gradient|",
                                 "derivative", "finite diff.", "error", "verdict");
  for (const AuditLine& line : lines) {
    text += fmt::format("{:<34} {:>11.3e} {:>14.6e} {:>14.6e} {:>9.1e}  {}\n", line.path, line.norm,
                        line.analytic, line.numeric, line.error, line.verdict);
  }
  text += fmt::format(
      "derivative: along a direction, as the method computes it; finite diff.: the same slope "
      "from\n"
      "two values of the function; error: their difference relative to it, at most {:.0e}\n",
      audit_tolerance);
  return text;
}

AuditLine audit_path(const std::string& path, const std::function<double(const Params&)>& f,
                     const Params& x, const Params& gradient, bool zero_by_definition) {
  require(x.dtype() == DType::float64, "audit: {} parameters, float64 expected",
          name_of(x.dtype()));
  AuditLine line;
  line.path = path;
  line.norm = norm(gradient);
  line.zero_by_definition = zero_by_definition;
  const bool zero = line.norm == 0;
  Slope slope = probe(f, x, gradient, displacements[0]);
  for (std::size_t i = 1; i < std::size(displacements); ++i) {
    if (zero || !(slope.error > audit_tolerance)) break;
    const Slope farther = probe(f, x, gradient, displacements[i]);
    if (farther.error < slope.error) slope = farther;
  }
  line.analytic = slope.analytic;
  line.numeric = slope.numeric;
  line.error = slope.error;
  if (zero_by_definition) {
    line.passed = zero;
    line.verdict = zero ? "zero by definition of this estimator" : "should be zero and is not";
  } else if (zero) {
    line.passed = false;
    line.verdict = "UNEXPECTED ZERO: this path is cut";
  } else {
    line.passed = line.error <= audit_tolerance;
    line.verdict = line.passed ? "ok" : "differs from the finite difference";
  }
  return line;
}

}  // namespace ek
