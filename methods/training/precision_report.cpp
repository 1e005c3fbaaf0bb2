#include "methods/training/precision_report.h"

#include <algorithm>
#include <cmath>

#include "engine/tensor/random.h"
#include "methods/session/session.h"

namespace ek {
namespace {

struct Squares {
  double reference = 0, difference = 0;
};

Squares squares_of(const Tensor& reference, const Tensor& measured) {
  Squares sum;
  const std::vector<double> a = reference.to_vector(), b = measured.to_vector();
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum.reference += a[i] * a[i];
    sum.difference += (b[i] - a[i]) * (b[i] - a[i]);
  }
  return sum;
}

PrecisionLine line_of(const Derivative& derivative, const std::string& tensor,
                      const Squares& squares) {
  const double norm = std::sqrt(squares.reference);
  const double error = squares.difference == 0 ? 0 : std::sqrt(squares.difference) / norm;
  return {derivative.name, tensor, norm, error, 0, derivative.bounded && tensor.empty()};
}

// The largest relative error of one rounding to nearest.
double unit_roundoff(Precision precision) {
  return precision == Precision::bf16      ? 0x1p-9
         : precision == Precision::tf32    ? 0x1p-11
         : precision == Precision::float32 ? 0x1p-24
                                           : 0x1p-53;
}

// Every element (float64) times 1 + unit or 1 - unit.
Params moved_by_rounding(const Params& params, double unit) {
  const Params moved = params.clone();
  Tensor flat = moved.flat();
  double* values = flat.output<double>();
  const RandomStream random(0, Purpose::test);
  for (std::int64_t i = 0; i < flat.numel(); ++i) {
    values[i] *= random.uniform(std::uint64_t(i)) < 0.5 ? 1 - unit : 1 + unit;
  }
  return moved;
}

// What the experiment's method differentiates at its first step.
std::vector<Derivative> first_derivatives(const Experiment& experiment, const State& state) {
  return experiment.method->derivatives(state, make_step(experiment, 0));
}

}  // namespace

std::vector<PrecisionLine> compare_derivatives(const std::vector<Derivative>& reference,
                                               const std::vector<Derivative>& measured) {
  require(reference.size() == measured.size(),
          "precision report: {} derivatives against {} in float64", measured.size(),
          reference.size());
  std::vector<PrecisionLine> lines;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const Derivative &a = reference[i], &b = measured[i];
    require(a.name == b.name, "precision report: '{}' against '{}' in float64", b.name, a.name);
    require_same_structure(a.value, b.value, "precision report");
    const std::size_t whole = lines.size();
    lines.emplace_back();
    Squares all;
    for (std::size_t k = 0; k < a.value.size(); ++k) {
      const auto& [name, tensor] = a.value.entries()[k];
      const Squares part = squares_of(tensor, b.value.entries()[k].tensor);
      all.reference += part.reference;
      all.difference += part.difference;
      if (a.value.size() > 1) lines.push_back(line_of(a, name, part));
    }
    lines[whole] = line_of(a, "", all);
  }
  return lines;
}

bool PrecisionReport::passed() const {
  return !lines.empty() && fault().empty();
}

std::string PrecisionReport::fault() const {
  for (const PrecisionLine& line : lines) {
    if (!std::isfinite(line.error)) {
      return fmt::format("the error of {}{}{} in {} is {}, a number is expected", line.derivative,
                         line.tensor.empty() ? "" : ", ", line.tensor, name_of(precision),
                         line.error);
    }
    if (line.bounded && line.error > precision_bound(precision)) {
      return fmt::format(
          "the {} in {} is {:.1e} away from float64, {:.0e} is the bound (a rounding error in the "
          "parameters alone moves it by {:.1e})",
          line.derivative, name_of(precision), line.error, precision_bound(precision),
          line.sensitivity);
    }
  }
  return "";
}

std::string PrecisionReport::table() const {
  std::vector<std::string> batches;
  for (const auto& [stream, count] : images) {
    batches.push_back(fmt::format("{} images of {}", count, stream));
  }
  std::string text =
      fmt::format("{} against float64, {}\n", name_of(precision), fmt::join(batches, ", "));
  std::size_t width = 10;
  for (const PrecisionLine& line : lines) {
    width = std::max(width, line.tensor.empty() ? line.derivative.size() : line.tensor.size() + 2);
  }
  text += fmt::format("{:<{}} {:>11} {:>9} {:>11} {:>9}\n", "derivative", width, "norm", "error",
                      "sensitivity", "bound");
  for (const PrecisionLine& line : lines) {
    const std::string name = line.tensor.empty() ? line.derivative : "  " + line.tensor;
    text += fmt::format("{:<{}} {:>11.3e} {:>9.1e} {:>11.1e}{}\n", name, width, line.norm,
                        line.error, line.sensitivity,
                        line.bounded ? fmt::format(" {:>9.0e}", precision_bound(precision)) : "");
  }
  return text;
}

PrecisionReport precision_report(const Recipe& recipe, const TrainOptions& options) {
  const Experiment measured(recipe, options.data, options.precision, options.device,
                            load_inputs(options.inputs, options.precision, options.device));
  const Experiment reference(recipe, options.data, Precision::float64, {},
                             load_inputs(options.inputs, Precision::float64, {}));
  // The same numbers on both sides: what is compared is arithmetic, not rounded starting points.
  const State state = measured.initial_state(options.init);
  const State exact = state.to(DType::float64, Device{});

  PrecisionReport report;
  report.precision = options.precision;
  for (const NamedStream& stream : measured.streams) {
    report.images.emplace_back(stream.name, stream.spec.batch_size);
  }
  const std::vector<Derivative> wanted = first_derivatives(reference, exact);
  report.lines = compare_derivatives(wanted, first_derivatives(measured, state));
  State moved = exact.to(DType::float64, Device{});
  moved.write("model", moved_by_rounding(exact.params("model"), unit_roundoff(options.precision)));
  const auto sensitivity = compare_derivatives(wanted, first_derivatives(reference, moved));
  for (std::size_t i = 0; i < sensitivity.size(); ++i) {
    report.lines[i].sensitivity = sensitivity[i].error;
  }
  return report;
}

}  // namespace ek
