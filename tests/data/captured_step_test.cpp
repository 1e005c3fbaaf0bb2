// Whole training steps in graphs on the simt device: a graph has the bits of the steps one by one,
// however many steps it holds.
#include "tests/data/captured_steps.h"
#include "tests/simt_device.h"

namespace ek {

TEST_CASE("captured steps have the bits of eager ones, 1, 3 or 4 to a graph", "[graph]") {
  if (!has_simt()) return;
  captured_steps::compare_with_eager(simt, 13, {1, 3, 4}, 3);
}

}  // namespace ek
