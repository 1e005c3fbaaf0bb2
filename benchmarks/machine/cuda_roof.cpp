#include "benchmarks/machine/cuda_roof.h"
#ifdef EK_HAS_CUDA_DEVICE
#include <cuda_runtime_api.h>
#ifdef EK_HAS_CUBLAS
#include <cublas_v2.h>
#endif

#include <algorithm>

#include "kernels/base/error.h"
#include "kernels/cuda/base/failure.h"
#include "kernels/elementwise.h"
#include "kernels/gemm.h"

namespace ek::bench {
namespace {

using kernels::cuda_target::check;
constexpr std::size_t mib = 1 << 20;

enum class Product { float32, tf32, bf16 };

// The largest power of two up to 8192 of which three float32 matrices fit into the memory.
std::int64_t product_size(std::size_t bytes) {
  std::int64_t n = 8192;
  while (n > 256 && 3 * std::size_t(n * n) * sizeof(float) > bytes) n /= 2;
  return n;
}

#ifdef EK_HAS_CUBLAS
// A product by cuBLAS, which the call owns. That of bf16 turns the factors into bf16 first, where
// the result of the others lies, and writes its own where their factors lie.
Call product_call(Product product, std::int64_t n, float* memory, void* stream) {
  cublasHandle_t created = nullptr;
  const cublasStatus_t status = cublasCreate(&created);
  require(status == CUBLAS_STATUS_SUCCESS, "cuBLAS: cublasCreate: {}",
          cublasGetStatusString(status));
  std::shared_ptr<cublasContext> handle(created, cublasDestroy);
  cublasSetStream(created, static_cast<cudaStream_t>(stream));
  const void *a = memory, *b = memory + n * n;
  void* c = memory + 2 * n * n;
  if (product == Product::bf16) {
    bf16* rounded = static_cast<bf16*>(c);
    kernels::convert<kernels::Cuda, float, bf16>({stream}, 2 * n * n, memory, rounded);
    a = rounded, b = rounded + n * n, c = memory;
  }
  const auto type = product == Product::bf16 ? CUDA_R_16BF : CUDA_R_32F;
  const auto compute = product == Product::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  return [=] {
    const float one = 1, zero = 0;
    const int side = int(n);
    const cublasStatus_t result =
        cublasGemmEx(handle.get(), CUBLAS_OP_N, CUBLAS_OP_N, side, side, side, &one, a, type, side,
                     b, type, side, &zero, c, type, side, compute, CUBLAS_GEMM_DEFAULT);
    require(result == CUBLAS_STATUS_SUCCESS, "cuBLAS: cublasGemmEx of {} x {}: {}", n, n,
            cublasGetStatusString(result));
  };
}
#else
Call product_call(Product product, std::int64_t n, float* memory, void* stream) {
  if (product == Product::bf16) return {};
  kernels::GemmShape shape{n, n, n};
  if (product == Product::tf32) shape.products = kernels::FloatProducts::tf32;
  return [=] {
    kernels::gemm<kernels::Cuda, float>({stream}, shape, memory, memory + n * n,
                                        memory + 2 * n * n);
  };
}
#endif

}  // namespace

Roof measure_cuda_roof(void* memory, std::size_t bytes, double seconds, void* stream,
                       const std::function<double(const Call&)>& seconds_of) {
  const auto best = [&](double amount, const Call& call) {
    if (!call) return 0.0;
    call();
    double rate = 0, spent = 0;
    do {
      const double one = seconds_of(call);
      rate = std::max(rate, amount / one / 1e9);
      spent += one;
    } while (spent < seconds);
    return rate;
  };
  const auto copy = [&](std::size_t size) {
    std::byte* data = static_cast<std::byte*>(memory);
    const std::size_t half = size / 2;
    return best(2 * double(half), [=] {
      check(cudaMemcpyAsync(data, data + half, half, cudaMemcpyDeviceToDevice,
                            static_cast<cudaStream_t>(stream)),
            "cudaMemcpyAsync");
    });
  };
  Roof roof;
  roof.copy_gb_s = copy(bytes);
  roof.copy_8mib_gb_s = copy(std::min(bytes, 8 * mib));
  const std::int64_t n = product_size(bytes);
  const auto product = [&](Product kind) {
    return best(2.0 * double(n) * double(n) * double(n),
                product_call(kind, n, static_cast<float*>(memory), stream));
  };
  roof.float32_gflop_s = product(Product::float32);
  roof.tf32_gflop_s = std::max(product(Product::tf32), roof.float32_gflop_s);
  roof.bf16_gflop_s = std::max(product(Product::bf16), roof.tf32_gflop_s);
  return roof;
}

}  // namespace ek::bench
#endif
