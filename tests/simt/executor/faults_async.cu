#include "kernels/cuda/base/primitives.cuh"
#include "tests/simt/executor/fault.h"

// Asynchronous copies that nobody waited for, and matrices read too early.
namespace ek::kernels::EK_TARGET {
namespace {

constexpr int kThreads = 32;

struct Stages {
  float4 first[kThreads];
  float4 second[kThreads];
};

__global__ void read_before_wait(const float4* x, float* y) {
  Stages& s = shared_memory<Stages>();
  const int t = int(threadIdx.x);
  cp_async_16(&s.first[t], x + t);
  cp_async_commit();
  y[t] = s.first[t].x;
  cp_async_wait<0>();
}

__global__ void waits_for_too_few(const float4* x, float* y) {
  Stages& s = shared_memory<Stages>();
  const int t = int(threadIdx.x);
  cp_async_16(&s.first[t], x + t);
  cp_async_commit();
  cp_async_16(&s.second[t], x + t);
  cp_async_commit();
  cp_async_wait<1>();
  y[t] = s.second[t].x;
  cp_async_wait<0>();
}

__global__ void no_barrier_after_wait(const float4* x, float* y) {
  Stages& s = shared_memory<Stages>();
  const int t = int(threadIdx.x);
  cp_async_16(&s.first[t], x + t);
  cp_async_commit();
  cp_async_wait<0>();
  y[t] = s.first[t == 0 ? 0 : t - 1].x;
}

__global__ void never_waited(const float4* x, float* y) {
  Stages& s = shared_memory<Stages>();
  const int t = int(threadIdx.x);
  cp_async_16(&s.first[t], x + t);
  cp_async_commit();
  y[t] = float(t);
}

__global__ void never_committed(const float4* x, float* y) {
  Stages& s = shared_memory<Stages>();
  const int t = int(threadIdx.x);
  cp_async_16(&s.first[t], x + t);
  cp_async_wait<0>();
  y[t] = float(t);
}

__global__ void overwritten_in_flight(const float4* x, float* y) {
  Stages& s = shared_memory<Stages>();
  const int t = int(threadIdx.x);
  s.first[t].x = 7;
  s.second[t].x = 7;
  __syncthreads();
  const float before = s.first[(t + 1) % kThreads].x;  // and no barrier before the copy
  cp_async_16(&s.first[t], x + t);
  cp_async_commit();
  cp_async_wait<0>();
  __syncthreads();
  y[t] = s.first[t].x + before - 7;
}

__global__ void misaligned_copy(const float4* x, float* y) {
  Stages& s = shared_memory<Stages>();
  const int t = int(threadIdx.x);
  cp_async_16(&s.first[t], reinterpret_cast<const float*>(x) + 2);
  cp_async_commit();
  cp_async_wait<0>();
  y[t] = float(t);
}

__global__ void copy_past_end(const float4* x, float* y) {
  Stages& s = shared_memory<Stages>();
  const int t = int(threadIdx.x);
  cp_async_16(&s.first[t], x + t + 1);
  cp_async_commit();
  cp_async_wait<0>();
  y[t] = float(t);
}

__global__ void misaligned_matrix(const float4*, float* y) {
  Stages& s = shared_memory<Stages>();
  const int t = int(threadIdx.x);
  s.first[t] = {0, 0, 0, 0};
  __syncwarp();
  std::uint32_t r[1];
  ldmatrix(r, &s.first[t % 8].y);
  y[t] = float(t) + float(r[0]);
}

__global__ void matrix_before_syncwarp(const float4*, float* y) {
  Stages& s = shared_memory<Stages>();
  const int t = int(threadIdx.x);
  s.first[t] = {0, 0, 0, 0};
  std::uint32_t r[4];
  ldmatrix(r, &s.first[t]);
  y[t] = float(t) + float(r[0] | r[1] | r[2] | r[3]);
}

template <auto Kernel>
std::vector<float> run_case() {
  std::vector<float> values;
  for (int i = 0; i < 4 * kThreads; ++i) values.push_back(float(i / 4));
  const simt::Guarded<float> x(values, "x");
  simt::Guarded<float> y(kThreads, "y");
  launch<Kernel>({1, kThreads, sizeof(Stages)}, reinterpret_cast<const float4*>(x.data()),
                 y.data());
  return y.values();
}

}  // namespace
}  // namespace ek::kernels::EK_TARGET

namespace ek::simt::test {

using namespace kernels::EK_TARGET;

std::vector<Fault> async_faults() {
  const auto same = counting(kThreads);
  std::vector<float> previous{0};
  for (int t = 1; t < kThreads; ++t) previous.push_back(float(t - 1));
  return {
      {"cp.async read before the wait", "order", "order", "error", run_case<&read_before_wait>,
       same},
      {"cp.async waits for a group too few", "order", "order", "error",
       run_case<&waits_for_too_few>, same},
      {"no barrier after the wait", "order", "order", "error", run_case<&no_barrier_after_wait>,
       previous},
      {"cp.async never waited for", "error", "error", "error", run_case<&never_waited>, same},
      {"cp.async never committed", "error", "error", "error", run_case<&never_committed>, same},
      {"cp.async into what others still read", "order", "order", "error",
       run_case<&overwritten_in_flight>, same},
      {"misaligned cp.async", "error", "error", "error", run_case<&misaligned_copy>, same},
      {"cp.async past the end of a buffer", "error", "error", "error", run_case<&copy_past_end>,
       same},
      {"misaligned ldmatrix", "error", "error", "error", run_case<&misaligned_matrix>, same},
      {"ldmatrix before __syncwarp", "missed", "missed", "error", run_case<&matrix_before_syncwarp>,
       same},
  };
}

}  // namespace ek::simt::test
