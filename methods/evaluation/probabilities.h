#pragma once
#include <vector>

#include "methods/evaluation/metrics.h"

namespace ek {

// Softmax of each row of the logits, [rows, num_classes]. Error as check_predictions.
std::vector<double> probabilities(const Predictions& predictions);

}  // namespace ek
