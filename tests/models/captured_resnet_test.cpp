// Captured steps of a ResNet-8 on the simt device. (tests/cuda has them for a GPU.)
#include "tests/models/captured_resnet.h"

namespace ek {

TEST_CASE("ResNet-8: captured training and evaluation have the bits of eager ones", "[graph]") {
  constexpr Device simt{Device::Kind::simt};
  if (!is_available(simt)) {
    WARN("this build has no simt device");
    return;
  }
  const Precision precision = GENERATE(Precision::float32, Precision::bf16);
  captured_resnet::compare_with_eager({.device = simt, .precision = precision});
}

}  // namespace ek
