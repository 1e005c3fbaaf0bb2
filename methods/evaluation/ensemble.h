#pragma once
#include <span>

#include "methods/evaluation/metrics.h"

namespace ek {

// Separately trained models as one: the logits are the log of the mean of the members' softmax
// probabilities, summed in the given order. Error unless all have the same labels and classes.
// Source: docs/evaluation.md.
Predictions ensemble(std::span<const Predictions> members);

}  // namespace ek
