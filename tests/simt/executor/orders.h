#pragma once
#include <vector>

#include "kernels/simt/options.h"

namespace ek::simt::test {

enum class Flavour { plain, checked, sanitized };
Flavour flavour();

constexpr int kSanitizerExit = 99;

// Forward, reverse, two random orders with several blocks in flight, and copies at issue: what
// every kernel test runs.
std::vector<Options> some_orders();

}  // namespace ek::simt::test
