#include "kernels/cuda/base/primitives.cuh"
#include "tests/simt/executor/fault.h"

// Blocks that share results without what makes them visible.
namespace ek::kernels::EK_TARGET {
namespace {

constexpr int kThreads = 32, kBlocks = 4;

__device__ float sum_of(const float* partial, int count) {
  float sum = 0;
  for (int i = 0; i < count; ++i) sum += partial[i];
  return sum;
}

__global__ void no_fence(float* partial, unsigned* ticket, float* y) {
  if (threadIdx.x != 0) return;
  partial[blockIdx.x] = 1;
  if (atomicAdd(ticket, 1u) == gridDim.x - 1) y[0] = sum_of(partial, kBlocks);
}

__global__ void no_fence_after(float* partial, unsigned* ticket, float* y) {
  if (threadIdx.x != 0) return;
  partial[blockIdx.x] = 1;
  __threadfence();
  if (atomicAdd(ticket, 1u) == gridDim.x - 1) y[0] = sum_of(partial, kBlocks);
}

// Thread 0 takes the ticket while thread 1 may not have written yet.
__global__ void ticket_too_early(float* partial, unsigned* ticket, float* y) {
  bool last = false;
  if (threadIdx.x == 1) {
    partial[blockIdx.x] = 1;
    __threadfence();
  }
  if (threadIdx.x == 0) {
    last = atomicAdd(ticket, 1u) == gridDim.x - 1;
    __threadfence();
  }
  if (__syncthreads_or(last) && threadIdx.x == 0) y[0] = sum_of(partial, kBlocks);
}

__global__ void takes_no_ticket(float* partial, unsigned*, float* y) {
  if (threadIdx.x == 0) partial[blockIdx.x] = 1;
  if (blockIdx.x == 0) return;
  if (last_block(launch_tickets()) && threadIdx.x == 0) y[0] = sum_of(partial, kBlocks);
}

__global__ void two_blocks_one_place(float*, unsigned*, float* y) {
  if (threadIdx.x == 0) y[0] = blockIdx.x == gridDim.x - 1 ? float(kBlocks) : 0.0f;
}

__global__ void reads_another_block(float* partial, unsigned*, float* y) {
  if (threadIdx.x != 0) return;
  partial[blockIdx.x] = 1;
  if (blockIdx.x == gridDim.x - 1) y[0] = sum_of(partial, kBlocks);
}

__global__ void unsynchronised_counter(float*, unsigned* ticket, float* y) {
  if (threadIdx.x != 0) return;
  *ticket = *ticket + 1;
  if (blockIdx.x == gridDim.x - 1) y[0] = float(kBlocks);
}

template <auto Kernel>
std::vector<float> run_case() {
  simt::Guarded<float> partial(kBlocks, "partial"), y(1, "y");
  simt::Guarded<unsigned> ticket(std::vector<unsigned>{0}, "ticket");
  launch<Kernel>({kBlocks, kThreads}, partial.data(), ticket.data(), y.data());
  return y.values();
}

}  // namespace
}  // namespace ek::kernels::EK_TARGET

namespace ek::simt::test {

using namespace kernels::EK_TARGET;

std::vector<Fault> block_faults() {
  const std::vector<float> sum{kBlocks};
  return {
      {"ticket without a fence", "missed", "missed", "error", run_case<&no_fence>, sum},
      {"ticket without a fence behind it", "missed", "missed", "error", run_case<&no_fence_after>,
       sum},
      {"ticket before another thread's write", "missed", "missed", "error",
       run_case<&ticket_too_early>, sum},
      {"a block that takes no ticket", "error", "error", "error", run_case<&takes_no_ticket>, sum},
      {"two blocks write one place", "order", "order", "error", run_case<&two_blocks_one_place>,
       sum},
      {"a block reads another one's result", "order", "order", "error",
       run_case<&reads_another_block>, sum},
      {"a counter without an atomic", "missed", "missed", "error",
       run_case<&unsynchronised_counter>, sum},
  };
}

}  // namespace ek::simt::test
