#include "tests/simt/executor/errors.h"

#include <stdexcept>

#include "kernels/cuda/base/primitives.cuh"
#include "kernels/simt/check/guarded.h"

namespace ek::kernels::EK_TARGET {
namespace {

template <class T, int N>
__global__ void named(T*) {
  if (threadIdx.x == N) __syncthreads();
}

__global__ void throws(int) {
  if (threadIdx.x == 3) throw std::runtime_error("out of luck");
  __syncthreads();
}

__global__ void refuses(int) noexcept {
  device_require(threadIdx.x < 3, "three threads at most");
}

__device__ int deep(int depth) {
  volatile char frame[1024];
  frame[depth % 1024] = char(depth);
  return depth == 0 ? frame[0] : deep(depth - 1) + frame[depth % 7];
}

__global__ void overflows(int depth) {
  EK_SHARED(result, int);
  if (threadIdx.x == 0) result = deep(depth);
}

__global__ void too_much_shared(int) {
  EK_SHARED(first, float[10000]);
  EK_SHARED(second, float[10000]);
  first[0] = second[0] = 1;
}

struct Big {
  float values[100];
};

__global__ void asks_for_more(int) {
  shared_memory<Big>().values[0] = 1;
}

__global__ void nothing(int) {}

// Every thread writes its place in the order of execution.
__global__ void order(unsigned* next, int* of_thread) {
  of_thread[blockIdx.x * blockDim.x + threadIdx.x] = int(atomicAdd(next, 1u));
}

__global__ void indices(int* seen) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  seen[block * blockDim.x * blockDim.y * blockDim.z + thread] = 1;
}

}  // namespace
}  // namespace ek::kernels::EK_TARGET

namespace ek::simt::test {

using namespace kernels::EK_TARGET;

void launch_named() {
  launch<&named<float, 7>>({1, 32}, static_cast<float*>(nullptr));
}
void launch_throwing() {
  launch<&throws>({2, 32}, 0);
}
void launch_refusing() {
  launch<&refuses>({1, 32}, 0);
}
void launch_overflowing() {
  launch<&overflows>({1, 32}, 1 << 20);
}
void launch_too_much_shared() {
  launch<&too_much_shared>({1, 32}, 0);
}
void launch_asking_for_more() {
  launch<&asks_for_more>({1, 32, 16}, 0);
}
void launch_nothing(unsigned grid, unsigned block, std::size_t shared_bytes) {
  launch<&nothing>({grid, block, shared_bytes}, 0);
}

std::vector<int> order_of_execution(unsigned blocks, unsigned threads) {
  Guarded<unsigned> next(std::vector<unsigned>{0}, "next");
  Guarded<int> of_thread(blocks * threads, "of_thread");
  launch<&order>({blocks, threads}, next.data(), of_thread.data());
  return of_thread.values();
}

std::vector<int> all_indices() {
  Guarded<int> seen(2 * 3 * 4 * 5 * 2 * 3, "seen");
  launch<&indices>({dim3(2, 3, 4), dim3(5, 2, 3)}, seen.data());
  return seen.values();
}

}  // namespace ek::simt::test
