#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/tensor/precision.h"
#include "methods/method.h"
#include "methods/recipes/recipe.h"
#include "methods/training/options.h"

namespace ek {

// The error of one derivative in one precision, as a whole or for one of its tensors.
struct PrecisionLine {
  std::string derivative;
  std::string tensor;  // "" stands for all of them together
  double norm = 0;     // 2-norm in float64
  double error = 0;    // 2-norm of the difference, relative to `norm`
  // What the float64 derivative itself does when every parameter moves by a rounding error of the
  // precision (with random signs), relative to `norm`. No arithmetic in that precision can be
  // expected to do better: a large value says that the point is ill-conditioned.
  double sensitivity = 0;
  bool bounded = false;
};

// How far a precision's derivatives are from those of float64 on one batch.
struct PrecisionReport {
  Precision precision = Precision::float32;
  std::vector<std::pair<std::string, std::int64_t>> images;  // of each stream's batch
  std::vector<PrecisionLine> lines;                          // for each derivative the whole first

  // Every error is a number, and the bounded ones are within the bound.
  bool passed() const;
  // What fails, in one line; "" if nothing does.
  std::string fault() const;
  // An aligned table for people, one line per derivative and tensor.
  std::string table() const;
};

// Largest relative error of a bounded derivative, the meta-gradient. Rounding switches the ReLUs
// whose inputs lie next to zero, so errors go with the square root of the unit roundoff, and they
// grow with depth and with the length of the virtual step: at trained parameters of a ResNet-32
// a few 1e-2 in bf16 and below 1e-4 in float32, at random ones with a learning rate of 0.1 several
// times the bounds in both (see `sensitivity`). tf32 has two bits more than bf16, so half its
// bound.
constexpr double precision_bound(Precision precision) {
  return precision == Precision::bf16 ? 5e-2 : precision == Precision::tf32 ? 2.5e-2 : 1e-2;
}

// The lines for `measured` against `reference`, which come from the same method. Error if names or
// shapes differ. A derivative that is zero on both sides has the error 0;
// `sensitivity` is left at 0.
std::vector<PrecisionLine> compare_derivatives(const std::vector<Derivative>& reference,
                                               const std::vector<Derivative>& measured);

// The derivatives of the first step of a run by `options` (its precision, device, data and starting
// weights) on whole batches of the recipe's size, against float64 on the CPU from the same
// parameters. Writes
// nothing.
PrecisionReport precision_report(const Recipe& recipe, const TrainOptions& options);

}  // namespace ek
