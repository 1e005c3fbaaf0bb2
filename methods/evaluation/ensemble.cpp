#include "methods/evaluation/ensemble.h"

#include <cmath>

#include "kernels/base/error.h"
#include "methods/evaluation/probabilities.h"

namespace ek {

Predictions ensemble(std::span<const Predictions> members) {
  require(!members.empty(), "ensemble: expected at least 1 member, got none");
  const Predictions& first = members[0];
  std::vector<double> mean(first.logits.size(), 0);
  for (std::size_t m = 0; m < members.size(); ++m) {
    require(members[m].num_classes == first.num_classes && members[m].labels == first.labels,
            "ensemble: expected the images of member 0 ({} rows, {} classes), got others from "
            "member {} ({} rows, {} classes)",
            first.rows(), first.num_classes, m, members[m].rows(), members[m].num_classes);
    const std::vector<double> p = probabilities(members[m]);
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += p[i];
  }
  for (double& value : mean) value = std::log(value / double(members.size()));
  return {first.num_classes, std::move(mean), first.labels};
}

}  // namespace ek
