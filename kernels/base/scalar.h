#pragma once
#include <cstdint>

#include "kernels/math/philox.h"  // EK_HOST_DEVICE

// Numbers that a kernel takes by value or reads where its device keeps them. What changes from step
// to step while the launches stay the same, as in a captured graph (engine/graph/graph.h), has to
// lie in memory: a learning rate, the number of a step.
namespace ek::kernels {

// A real number: `factor`, or factor times what `memory` holds when the kernel runs. Where the
// factor is 1 both forms have the same bits.
struct Scalar {
  double factor = 0;
  const double* memory = nullptr;  // of the kernel's device

  constexpr Scalar(double value = 0) : factor(value) {}
  constexpr Scalar(double times, const double* where) : factor(times), memory(where) {}
  EK_HOST_DEVICE double value() const { return memory ? factor * *memory : factor; }
};

// A whole number: `offset`, or what `memory` holds plus it.
struct Count {
  std::int64_t offset = 0;
  const std::int64_t* memory = nullptr;  // of the kernel's device

  constexpr Count(std::int64_t value = 0) : offset(value) {}
  constexpr Count(std::int64_t plus, const std::int64_t* where) : offset(plus), memory(where) {}
  EK_HOST_DEVICE std::int64_t value() const { return memory ? *memory + offset : offset; }
};

}  // namespace ek::kernels
