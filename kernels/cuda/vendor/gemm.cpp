// kernels/gemm.h by cuBLAS.
#include "kernels/gemm.h"

#include <cublas_v2.h>

#include <climits>
#include <memory>

#include "kernels/base/error.h"
#include "kernels/cuda/vendor/vendor.h"

namespace ek::kernels {
namespace {

cublasHandle_t handle_on(Stream stream) {
  const auto check = [](cublasStatus_t status, const char* what) {
    require(status == CUBLAS_STATUS_SUCCESS, "cuBLAS: {}: {}", what, cublasGetStatusString(status));
  };
  thread_local const std::shared_ptr<cublasContext> handle = [&] {
    cublasHandle_t made = nullptr;
    check(cublasCreate(&made), "cublasCreate");
    return std::shared_ptr<cublasContext>(made, cublasDestroy);
  }();
  check(cublasSetStream(handle.get(), static_cast<cudaStream_t>(stream.native)), "cublasSetStream");
  return handle.get();
}

// A row-major c = a b is a column-major c^T = b^T a^T: the factors change places and nothing else.
template <class T>
void multiply(Stream stream, const GemmShape& s, const T* a, const T* b, T* c) {
  require(s.m >= 0 && s.n >= 0 && s.k >= 0 && s.m <= INT_MAX && s.n <= INT_MAX && s.k <= INT_MAX,
          "gemm: sizes from 0 to 2^31 - 1 expected, got m {}, n {}, k {}", s.m, s.n, s.k);
  if (s.m == 0 || s.n == 0) return;
  constexpr bool single = std::is_same_v<T, float>;
  const auto type = single ? CUDA_R_32F : CUDA_R_64F;
  const auto compute = !single                             ? CUBLAS_COMPUTE_64F
                       : s.products == FloatProducts::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                           : CUBLAS_COMPUTE_32F;
  const T one = 1, zero = 0;
  // Leading dimensions are at least 1, also where a factor is empty.
  const auto rows_of = [](std::int64_t size) { return int(size > 0 ? size : 1); };
  const cublasStatus_t status = cublasGemmEx(
      handle_on(stream), s.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
      s.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, int(s.n), int(s.m), int(s.k), &one, b, type,
      rows_of(s.transpose_b ? s.k : s.n), a, type, rows_of(s.transpose_a ? s.m : s.k), &zero, c,
      type, int(s.n), compute, CUBLAS_GEMM_DEFAULT);
  require(status == CUBLAS_STATUS_SUCCESS, "gemm: cuBLAS: {} for m {}, n {}, k {}",
          cublasGetStatusString(status), s.m, s.n, s.k);
}

}  // namespace

template <>
void gemm<Vendor, float>(Stream stream, const GemmShape& shape, const float* a, const float* b,
                         float* c) {
  multiply(stream, shape, a, b, c);
}
template <>
void gemm<Vendor, double>(Stream stream, const GemmShape& shape, const double* a, const double* b,
                          double* c) {
  multiply(stream, shape, a, b, c);
}

}  // namespace ek::kernels
