#include "kernels/cuda/base/primitives.cuh"
#include "tests/simt/executor/fault.h"

// Barriers of the block that are missing, or that not every thread reaches.
namespace ek::kernels::EK_TARGET {
namespace {

constexpr int kThreads = 64;

__global__ void missing_barrier_next(const float* x, float* y) {
  EK_SHARED(tile, float[kThreads]);
  const int t = int(threadIdx.x);
  tile[t] = x[t];
  y[t] = tile[(t + 1) % kThreads];
}

__global__ void missing_barrier_previous(const float* x, float* y) {
  EK_SHARED(tile, float[kThreads]);
  const int t = int(threadIdx.x);
  tile[t] = x[t];
  y[t] = tile[t == 0 ? 0 : t - 1];
}

__global__ void tile_overwritten(const float* x, float* y) {
  EK_SHARED(tile, float[kThreads]);
  const int t = int(threadIdx.x);
  float sum = 0;
  for (int pass = 0; pass < 2; ++pass) {
    tile[t] = x[pass * kThreads + t];
    __syncthreads();
    sum += tile[(t + 1) % kThreads];  // and no barrier before the next pass writes
  }
  y[t] = sum;
}

__global__ void shared_increment(float* y) {
  EK_SHARED(count, int);
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  count = count + 1;
  __syncthreads();
  if (threadIdx.x == 0) y[0] = float(count);
}

__global__ void barrier_in_branch(float* y) {
  if (threadIdx.x < 16) __syncthreads();
  y[threadIdx.x] = 1;
}

__global__ void early_return(float* y) {
  y[threadIdx.x] = 1;
  if (threadIdx.x >= 48) return;
  __syncthreads();
}

__global__ void two_barriers(float* y) {
  if (threadIdx.x % 2 == 0) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  y[threadIdx.x] = 1;
}

__global__ void barrier_against_shuffle(float* y) {
  if (threadIdx.x < 32) {
    y[threadIdx.x] = __shfl_sync(0xFFFFFFFF, 1.0f, 0);
    if (threadIdx.x < 16) __syncwarp();
  }
  __syncthreads();
  if (threadIdx.x >= 32) y[threadIdx.x] = 1;
}

template <auto Kernel>
std::vector<float> run_on_counting() {
  const simt::Guarded<float> x(simt::test::counting(2 * kThreads), "x");
  simt::Guarded<float> y(kThreads, "y");
  launch<Kernel>({1, kThreads}, x.data(), y.data());
  return y.values();
}

template <auto Kernel, int count>
std::vector<float> run_alone() {
  simt::Guarded<float> y(count, "y");
  launch<Kernel>({1, kThreads}, y.data());
  return y.values();
}

std::vector<float> next() {
  std::vector<float> y;
  for (int t = 0; t < kThreads; ++t) y.push_back(float((t + 1) % kThreads));
  return y;
}

std::vector<float> previous() {
  std::vector<float> y;
  for (int t = 0; t < kThreads; ++t) y.push_back(float(t == 0 ? 0 : t - 1));
  return y;
}

std::vector<float> two_passes() {
  std::vector<float> y = next();
  for (float& v : y) v = 2 * v + kThreads;
  return y;
}

}  // namespace
}  // namespace ek::kernels::EK_TARGET

namespace ek::simt::test {

using namespace kernels::EK_TARGET;

std::vector<Fault> barrier_faults() {
  const auto ones = constant(kThreads, 1);
  return {
      {"no barrier, reads the next thread's value", "order", "order", "error",
       run_on_counting<&missing_barrier_next>, next()},
      {"no barrier, reads the previous thread's value", "order", "order", "error",
       run_on_counting<&missing_barrier_previous>, previous()},
      {"tile overwritten while others read it", "order", "order", "error",
       run_on_counting<&tile_overwritten>, two_passes()},
      {"unsynchronised s = s + 1",
       "missed",
       "missed",
       "error",
       run_alone<&shared_increment, 1>,
       {kThreads}},
      {"barrier in a branch", "error", "error", "error", run_alone<&barrier_in_branch, kThreads>,
       ones},
      {"return before a barrier", "error", "error", "error", run_alone<&early_return, kThreads>,
       ones},
      {"two different barriers", "error", "error", "error", run_alone<&two_barriers, kThreads>,
       ones},
      {"warp operation against block barrier", "error", "error", "error",
       run_alone<&barrier_against_shuffle, kThreads>, ones},
  };
}

}  // namespace ek::simt::test
