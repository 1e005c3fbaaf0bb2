#pragma once
#include <cstdint>

#include "kernels/simt/options.h"

namespace ek::simt {

// c[j] + sum_k a[k] * b[k][j] for the 8 columns of one row of an mma, with K = 8 (tf32) or 16
// (bf16), as the rounding says. The products of inputs are exact in double.
void mma_row(MmaRounding rounding, int k_count, const double* a, const double (*b)[8], float* c);

}  // namespace ek::simt
