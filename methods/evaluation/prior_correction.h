#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "methods/evaluation/metrics.h"

namespace ek {

// z - absorbed * log pi_s + log pi_t for every row, `absorbed` how much of the training
// prior the logits carry (LossEntry::absorbed_prior) and pi_s and pi_t the shares of
// `source_counts` (training images) and `target_counts` (images of the evaluated set), each [C].
// A class with target 0 cannot occur: its logits become -infinity. Error when a class that occurs
// has no training images although its prior is to be taken out, or when the sizes disagree.
Predictions correct_prior(const Predictions& predictions, double absorbed,
                          std::span<const std::int64_t> source_counts,
                          std::span<const std::int64_t> target_counts);

}  // namespace ek
