#pragma once
#include "apps/op/table.h"

namespace ek {

// The golden bilevel problem (tests/golden/meta_gradients.json): the
// toy network with 3 classes, a Difficulty-Net without biases, 6 training and meta images. The same
// numbers for every seed.
OpExample golden_toy_example(std::uint64_t seed);

}  // namespace ek
