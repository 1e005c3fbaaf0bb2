#pragma once
#include <cstdint>
#include <vector>

// One mma by one warp, on row-major matrices A (16 x K), B (K x 8), C (16 x 8): C + A B.
namespace ek::simt::test {

using Matrix = std::vector<float>;

// K = 8; the inputs are rounded to tf32, or cut by the instruction when `round` is false.
Matrix mma_tf32_once(const Matrix& a, const Matrix& b, const Matrix& c, bool round = true);

// K = 16, rounded to bf16. Fragments are gathered element by element as the PTX ISA lists them, or
// loaded by ldmatrix (B by ldmatrix_trans).
Matrix mma_bf16_gathered(const Matrix& a, const Matrix& b, const Matrix& c);
Matrix mma_bf16_ldmatrix(const Matrix& a, const Matrix& b, const Matrix& c);

// A larger product, 64 x 32 times 32 x 48, by four warps with tiles in shared memory.
Matrix gemm_tf32(const Matrix& a, const Matrix& b);

}  // namespace ek::simt::test
