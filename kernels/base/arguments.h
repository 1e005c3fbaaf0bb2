#pragma once
#include <cstdint>

// Checks of a kernel's arguments for sources that nvcc compiles, which keep fmt out.
namespace ek::kernels {

// Throws ek::Error "EXPECTED, but got GOT" unless `condition` holds; `expected` starts with the op.
void require_argument(bool condition, const char* expected, std::int64_t got);
void require_argument(bool condition, const char* expected, double got);

}  // namespace ek::kernels
