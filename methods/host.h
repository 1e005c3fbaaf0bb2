#pragma once
#include <vector>

#include "data/longtail.h"

namespace ek {

// What a method can ask of the host between two steps, with the state of that moment.
class Host {
 public:
  virtual ~Host() = default;
  // Fraction of right predictions of infer() per class over the held-out images.
  virtual std::vector<double> class_accuracy() = 0;
  virtual const Split& split() const = 0;
};

}  // namespace ek
