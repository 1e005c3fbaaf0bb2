#include "kernels/cuda/base/primitives.cuh"
#include "tests/simt/executor/fault.h"

// Operations of a warp that some lane does not reach, and what does not order its memory.
namespace ek::kernels::EK_TARGET {
namespace {

__global__ void missing_syncwarp(const float* x, float* y) {
  EK_SHARED(values, float[32]);
  const int lane = int(threadIdx.x);
  values[lane] = x[lane];
  y[lane] = values[lane ^ 1];
}

__global__ void shuffle_for_syncwarp(const float* x, float* y) {
  EK_SHARED(values, float[32]);
  const int lane = int(threadIdx.x);
  values[lane] = x[lane];
  const float first = __shfl_sync(0xFFFFFFFF, x[lane], 0);
  y[lane] = values[lane ^ 1] + first;
}

__global__ void shuffle_in_branch(const float* x, float* y) {
  const int lane = int(threadIdx.x);
  y[lane] = x[lane];
  if (lane < 16) y[lane] = __shfl_xor_sync(0xFFFFFFFF, x[lane], 1);
}

__global__ void mma_in_branch(const float* x, float* y) {
  const int lane = int(threadIdx.x);
  float c[4] = {x[lane], 0, 0, 0};
  const std::uint32_t a[4] = {}, b[2] = {};
  if (lane != 31) mma_tf32(c, a, b);
  y[lane] = c[0];
}

__global__ void lane_outside_mask(const float* x, float* y) {
  const int lane = int(threadIdx.x);
  y[lane] = x[lane];
  if (lane < 16) y[lane] = __shfl_sync(0x0000FFFF, x[lane], 20);
}

__global__ void mask_without_caller(const float* x, float* y) {
  const int lane = int(threadIdx.x);
  y[lane] = x[lane];
  __syncwarp(0xFFFFFFFE);
}

__global__ void two_shuffles(const float* x, float* y) {
  const int lane = int(threadIdx.x);
  if (lane % 2 == 0) {
    y[lane] = __shfl_sync(0xFFFFFFFF, x[lane], lane);
  } else {
    y[lane] = __shfl_sync(0xFFFFFFFF, x[lane], lane);
  }
}

__global__ void syncwarp_of_returned(const float* x, float* y) {
  const int lane = int(threadIdx.x);
  y[lane] = x[lane];
  if (lane >= 16) return;
  __syncwarp();
}

template <auto Kernel>
std::vector<float> run_case() {
  const simt::Guarded<float> x(simt::test::counting(32), "x");
  simt::Guarded<float> y(32, "y");
  launch<Kernel>({1, 32}, x.data(), y.data());
  return y.values();
}

std::vector<float> neighbours() {
  std::vector<float> y;
  for (int i = 0; i < 32; ++i) y.push_back(float(i ^ 1));
  return y;
}

}  // namespace
}  // namespace ek::kernels::EK_TARGET

namespace ek::simt::test {

using namespace kernels::EK_TARGET;

std::vector<Fault> warp_faults() {
  const auto same = counting(32);
  return {
      {"no __syncwarp", "order", "order", "error", run_case<&missing_syncwarp>, neighbours()},
      {"a shuffle in place of __syncwarp", "missed", "missed", "error",
       run_case<&shuffle_for_syncwarp>, neighbours()},
      {"shuffle in a branch", "error", "error", "error", run_case<&shuffle_in_branch>, same},
      {"mma in a branch", "error", "error", "error", run_case<&mma_in_branch>, same},
      {"shuffle from a lane outside the mask", "error", "error", "error",
       run_case<&lane_outside_mask>, same},
      {"a mask without the caller", "error", "error", "error", run_case<&mask_without_caller>,
       same},
      {"two different shuffles", "error", "error", "error", run_case<&two_shuffles>, same},
      {"__syncwarp with returned lanes", "error", "error", "error", run_case<&syncwarp_of_returned>,
       same},
  };
}

}  // namespace ek::simt::test
