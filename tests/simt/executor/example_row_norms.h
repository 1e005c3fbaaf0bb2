#pragma once
#include <cstdint>

#include "kernels/base/backend.h"

// The example of docs/kernels/add-a-kernel.md.
namespace ek::kernels::example {

// norms[i] = sqrt(sum over j of x[i, j]^2). x is [rows, columns] of T, norms [rows]; T = float or
// double. rows and columns may be 0.
template <class B, class T>
void row_norms(Stream stream, std::int64_t rows, std::int64_t columns, const T* x, T* norms);

}  // namespace ek::kernels::example
