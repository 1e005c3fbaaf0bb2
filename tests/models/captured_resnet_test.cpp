// Captured steps of a ResNet-8 on the simt device. (tests/cuda has them for a GPU.)
#include "tests/models/captured_resnet.h"
#include "tests/simt_device.h"

namespace ek {

TEST_CASE("ResNet-8: captured training and evaluation have the bits of eager ones", "[graph]") {
  if (!has_simt()) return;
  const Precision precision = GENERATE(Precision::float32, Precision::bf16);
  captured_resnet::compare_with_eager({.device = simt, .precision = precision});
}

}  // namespace ek
