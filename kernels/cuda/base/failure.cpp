#include "kernels/cuda/base/failure.h"

#include <cuda_runtime_api.h>

#include "kernels/base/error.h"

namespace ek::kernels::cuda_target {

void check(int status, const char* where) {
  const auto error = static_cast<cudaError_t>(status);
  require(error == cudaSuccess, "cuda: {}: {} ({})", where, cudaGetErrorName(error),
          cudaGetErrorString(error));
}

}  // namespace ek::kernels::cuda_target
