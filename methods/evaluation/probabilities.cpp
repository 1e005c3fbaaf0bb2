#include "methods/evaluation/probabilities.h"

#include <algorithm>
#include <cmath>

#include "methods/evaluation/recall.h"

namespace ek {

std::vector<double> probabilities(const Predictions& predictions) {
  check_predictions(predictions);
  std::vector<double> out = predictions.logits;
  const auto classes = predictions.num_classes;
  for (auto row = out.begin(); row != out.end(); row += classes) {
    const double highest = *std::max_element(row, row + classes);
    double sum = 0;
    for (auto p = row; p != row + classes; ++p) sum += * p = std::exp(*p - highest);
    for (auto p = row; p != row + classes; ++p) *p /= sum;
  }
  return out;
}

}  // namespace ek
