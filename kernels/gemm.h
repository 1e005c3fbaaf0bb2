#pragma once
#include <cstdint>

#include "kernels/base/backend.h"
#include "kernels/base/float_products.h"

namespace ek::kernels {

// c = op(a) op(b), row-major and dense; op transposes where the flag says so.
// op(a) is [m, k], op(b) is [k, n], c is [m, n] and is overwritten. k may be 0 (c becomes zero).
struct GemmShape {
  std::int64_t m, n, k;
  bool transpose_a = false, transpose_b = false;
  FloatProducts products = FloatProducts::exact;
};

// The bits do not depend on the number of threads.
template <class B, class T>
void gemm(Stream stream, const GemmShape& shape, const T* a, const T* b, T* c);

}  // namespace ek::kernels
