#include "engine/ops.h"

int main() {
  const auto two = ek::Tensor::full({2}, 1.0, ek::DType::float64);
  return ek::ops::sum(two).item() == 2 ? 0 : 1;
}
