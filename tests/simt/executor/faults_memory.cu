#include "kernels/cuda/base/primitives.cuh"
#include "tests/simt/executor/fault.h"

// Accesses out of bounds, and reads of what nobody wrote.
namespace ek::kernels::EK_TARGET {
namespace {

constexpr int kThreads = 32;

struct Tile {
  float a[kThreads];
  float b[kThreads];
};

struct CheckedTile {
  SharedArray<float, kThreads> a;
  SharedArray<float, kThreads> b;
};

// Keeps a value alive and the result independent of it.
__device__ float one_whatever(float value) {
  return value == 12345.0f ? 2 : 1;
}

__global__ void dynamic_read_past_end(int past, float* y) {
  Tile& tile = shared_memory<Tile>();
  tile.a[threadIdx.x] = tile.b[threadIdx.x] = 1;
  __syncthreads();
  const float* all = tile.a;
  y[threadIdx.x] = one_whatever(all[2 * kThreads + past]);
}

__global__ void dynamic_write_past_end(int past, float* y) {
  Tile& tile = shared_memory<Tile>();
  float* all = tile.a;
  if (threadIdx.x == 0) all[2 * kThreads + past] = 1;
  y[threadIdx.x] = 1;
}

__global__ void static_read_past_end(int past, float* y) {
  EK_SHARED(values, float[kThreads]);
  values[threadIdx.x] = 1;
  __syncthreads();
  const float* all = values;
  y[threadIdx.x] = one_whatever(all[kThreads + past]);
}

__global__ void member_by_index(int past, float* y) {
  Tile& tile = shared_memory<Tile>();
  const int t = int(threadIdx.x);
  tile.b[t] = 1;
  __syncthreads();
  tile.a[t + kThreads * (1 + past)] = 2;  // runs into b
  __syncthreads();
  y[t] = tile.b[t];
}

__global__ void member_by_pointer(int past, float* y) {
  Tile& tile = shared_memory<Tile>();
  const int t = int(threadIdx.x);
  tile.b[t] = 1;
  __syncthreads();
  float* a = tile.a;
  a[t + kThreads * (1 + past)] = 2;
  __syncthreads();
  y[t] = tile.b[t];
}

__global__ void member_of_shared_array(int past, float* y) {
  CheckedTile& tile = shared_memory<CheckedTile>();
  const int t = int(threadIdx.x);
  tile.b[t] = 1;
  __syncthreads();
  tile.a[t + kThreads * (1 + past)] = 2;
  __syncthreads();
  y[t] = tile.b[t];
}

__global__ void shared_matters(int, float* y) {
  EK_SHARED(values, float[kThreads]);
  if (threadIdx.x != 5) values[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = values[threadIdx.x];
}

__global__ void shared_harmless(int, float* y) {
  EK_SHARED(values, float[kThreads]);
  if (threadIdx.x != 5) values[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = one_whatever(values[threadIdx.x]);
}

__global__ void stale_shared(int, float* y) {
  EK_SHARED(value, float);
  if (blockIdx.x == 0 && threadIdx.x == 0) value = 1;
  __syncthreads();
  if (threadIdx.x == 0) y[blockIdx.x] = value;
}

__global__ void read_at(const float* x, int at, float* y) {
  y[threadIdx.x] = one_whatever(x[at]);
}

__global__ void copy_at(const float* x, int at, float* y) {
  y[threadIdx.x] = x[at];
}

__global__ void write_at(const float*, int at, float* y) {
  y[threadIdx.x] = 1;
  if (threadIdx.x == 0) y[at] = 1;
}

__global__ void vector_at(const float* x, int at, float* y) {
  y[threadIdx.x] = one_whatever(load_vec<float4>(x + at).x);
}

template <auto Kernel, int past = 0, int blocks = 1, int count = kThreads>
std::vector<float> shared_case() {
  simt::Guarded<float> y(count, "y");
  launch<Kernel>({blocks, kThreads, sizeof(Tile)}, past, y.data());
  return y.values();
}

// x has an odd count, so that some bytes lie between its end and the page that faults.
template <auto Kernel, int at>
std::vector<float> global_case() {
  const simt::Guarded<float> x(simt::test::constant(33, 1), "x");
  simt::Guarded<float> y(kThreads + 1, "y");
  if (at != kThreads) y.data()[kThreads] = 1;
  launch<Kernel>({1, kThreads}, x.data(), at, y.data());
  std::vector<float> result = y.values();
  result.resize(kThreads);
  return result;
}

template <auto Kernel>
std::vector<float> unwritten_global() {
  const simt::Guarded<float> x(kThreads, "x");
  simt::Guarded<float> y(kThreads, "y");
  launch<Kernel>({1, kThreads}, x.data(), 3, y.data());
  return y.values();
}

std::vector<float> host_memory() {
  const std::vector<float> x(64, 1.0f);
  simt::Guarded<float> y(kThreads, "y");
  launch<&read_at>({1, kThreads}, x.data(), 3, y.data());
  return y.values();
}

}  // namespace
}  // namespace ek::kernels::EK_TARGET

namespace ek::simt::test {

using namespace kernels::EK_TARGET;

std::vector<Fault> memory_faults() {
  const auto ones = constant(kThreads, 1);
  return {
      {"dynamic shared memory read past the end", "missed", "error", "error",
       shared_case<&dynamic_read_past_end, 3>, ones},
      {"dynamic shared memory written past the end", "error", "error", "error",
       shared_case<&dynamic_write_past_end, 3>, ones},
      {"static shared memory read past the end", "missed", "error", "error",
       shared_case<&static_read_past_end, 3>, ones},
      {"one member of a shared struct runs into the next, by index", "order", "error", "order",
       shared_case<&member_by_index>, ones},
      {"the same, through a pointer", "order", "order", "order", shared_case<&member_by_pointer>,
       ones},
      {"the same, of SharedArray", "error", "error", "error", shared_case<&member_of_shared_array>,
       ones},
      {"unwritten shared value that matters", "order", "order", "error",
       shared_case<&shared_matters>, ones},
      {"unwritten shared value that changes nothing", "missed", "missed", "error",
       shared_case<&shared_harmless>, ones},
      {"shared memory of the block before", "order", "order", "error",
       shared_case<&stale_shared, 0, 3, 3>, constant(3, 1)},
      {"global read just past the end", "missed", "error", "error", global_case<&read_at, 33>,
       ones},
      {"global read 100 elements past the end", "error", "error", "error",
       global_case<&read_at, 133>, ones},
      {"global read far past the end", "error", "error", "error", global_case<&read_at, 1 << 28>,
       ones},
      {"global read before the start", "missed", "error", "error", global_case<&read_at, -1>, ones},
      {"global write just past the end", "error", "error", "error", global_case<&write_at, 33>,
       ones},
      {"global write before the start", "error", "error", "error", global_case<&write_at, -2>,
       ones},
      {"unwritten global value that matters", "order", "order", "error", unwritten_global<&copy_at>,
       ones},
      {"unwritten global value that changes nothing", "missed", "missed", "error",
       unwritten_global<&read_at>, ones},
      {"memory of the host", "missed", "missed", "error", host_memory, ones},
      {"misaligned vector load", "error", "error", "error", global_case<&vector_at, 2>, ones},
  };
}

}  // namespace ek::simt::test
