#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "methods/evaluation/metrics.h"
#include "methods/recipes/recipe.h"

namespace ek {

// How much of the training prior the logits of a model carry: 1 where training has put log pi_s
// into them (cross-entropy and its weighted, focal and margin relatives), 0 where the loss has
// taken it out (balanced softmax and its relatives), 1 - tau for the logit-adjusted loss. Source:
// spec evaluation.md 5, post-compensation.
double absorbed_prior(std::string_view loss_name, double tau = 1);
// The same for a resolved recipe (loss.name, loss.tau). Error for a data.sampler that
// changes the prior which the model sees.
double absorbed_prior(const Recipe& recipe);

// z - absorbed * log pi_s + log pi_t for every row, with pi_s and pi_t the shares of
// `source_counts` (training images) and `target_counts` (images of the evaluated set), each [C].
// A class with target 0 cannot occur: its logits become -infinity. Error when a class that occurs
// has no training images although its prior is to be taken out, or when the sizes disagree.
Predictions correct_prior(const Predictions& predictions, double absorbed,
                          std::span<const std::int64_t> source_counts,
                          std::span<const std::int64_t> target_counts);

}  // namespace ek
