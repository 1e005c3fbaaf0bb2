#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "methods/evaluation/metrics.h"

namespace ek {

// A test label distribution: uniform, or one that falls by `ratio` from the first to the last
// class, classes ordered by training count, largest first (forward) or smallest first (backward).
// Source: docs/evaluation.md (the protocol of LADE's released evaluation).
struct ShiftSpec {
  enum class Kind : std::uint8_t { uniform, forward, backward };
  Kind kind = Kind::uniform;
  double ratio = 1;  // at least 1; unused for uniform

  bool operator==(const ShiftSpec&) const = default;
  std::string str() const;  // "uniform", "forward:25", "backward:25"
};

// Reads what str() writes. Error otherwise.
ShiftSpec parse_shift(std::string_view text);

// The eleven sets of the tables: forward 50, 25, 10, 5, 2, uniform, backward 2, 5, 10, 25, 50.
std::vector<ShiftSpec> standard_shifts();

// Images kept of each class, [C]: floor(per_class * ratio^(-k / (C - 1)) + 1e-9) for the class of
// rank k by training count (ties: smaller index first); backward counts the rank from the end.
std::vector<std::int64_t> kept_per_class(std::span<const std::int64_t> class_counts,
                                         std::int64_t per_class, const ShiftSpec& spec);

struct ShiftedSet {
  std::vector<std::int64_t> rows;  // of the test list, ascending
  std::vector<std::int64_t> kept;  // images per class, [C]
};

// The first kept_per_class images of each class, in the order of the test list. `labels` are those
// of a balanced test set; a class without test images takes no part and no rank. Error naming a
// class when the set is not balanced (uniform keeps any set as it is) or a class keeps no image.
ShiftedSet shifted_set(std::span<const std::int64_t> labels,
                       std::span<const std::int64_t> class_counts, const ShiftSpec& spec);

// The given rows, in the given order.
Predictions select_rows(const Predictions& predictions, std::span<const std::int64_t> rows);

// Plain top-1 over all rows, the figure of shifted sets: frequent classes weigh more.
double top1(const Predictions& predictions);

}  // namespace ek
