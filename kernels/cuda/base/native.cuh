#pragma once
// The nvcc side of primitives.cuh: CUDA itself, and inline PTX where CUDA C++ has no word.
#include <cuda_runtime.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "kernels/base/backend.h"
#include "kernels/cuda/base/failure.h"

#define EK_TARGET cuda_target

namespace ek::kernels::cuda_target {

using Backend = Cuda;
using ::dim3;
using ::float2;
using ::float4;
using ::int2;
using ::int4;
using ::uint2;
using ::uint4;

// ---- launch ----

struct Launch {
  dim3 grid, block;
  std::size_t shared_bytes = 0;  // sizeof the T of shared_memory<T>()
  Stream stream = {};
};

// Allows a kernel all the shared memory that a block can have and prefers it to cache, once for
// each GPU: an attribute of the kernel, which the launches inside a graph rely on as much as the
// next one.
template <auto Kernel>
void allow_shared_memory() {
  static std::atomic<std::uint64_t> allowed = 0;  // a bit for each of the first 64 GPUs
  int gpu = 0, most = 0;
  check(cudaGetDevice(&gpu), __PRETTY_FUNCTION__);
  const std::uint64_t bit = gpu < 64 ? std::uint64_t(1) << gpu : 0;
  if (allowed & bit) return;
  cudaFuncAttributes attributes;
  check(cudaFuncGetAttributes(&attributes, Kernel), __PRETTY_FUNCTION__);
  check(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, gpu),
        __PRETTY_FUNCTION__);
  check(cudaFuncSetAttribute(Kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             most - int(attributes.sharedSizeBytes)),
        __PRETTY_FUNCTION__);
  // Kernels that follow each other then need no other division of the first-level cache.
  check(cudaFuncSetAttribute(Kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                             cudaSharedmemCarveoutMaxShared),
        __PRETTY_FUNCTION__);
  allowed |= bit;
}

template <auto Kernel, class... A>
void launch(const Launch& shape, const A&... arguments) {
  if (shape.shared_bytes > 0) allow_shared_memory<Kernel>();
  cudaLaunchConfig_t config = {};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = static_cast<cudaStream_t>(shape.stream.native);
  check(cudaLaunchKernelEx(&config, Kernel, arguments...), __PRETTY_FUNCTION__);
}

// ---- shared memory ----

template <class T>
__device__ __forceinline__ T& shared_memory() {
  extern __shared__ __align__(128) unsigned char raw[];
  return *reinterpret_cast<T*>(raw);
}

// The alias lets a declaration carry array types: EK_SHARED(tile, float[32][33]).
#define EK_SHARED(name, ...) __shared__ std::type_identity_t<__VA_ARGS__> name

// ---- checks ----

__device__ __forceinline__ void device_require([[maybe_unused]] bool condition, const char*) {
#ifdef EK_DEVICE_CHECKS
  if (!condition) __trap();
#endif
}

// ---- tickets ----

// Counters for last_of, all zero before a launch and after it. A set for each file of kernels and
// GPU is enough: a GPU has one queue, where no launch begins before the one in front has ended.
// Two launches of a file that overlap (a second queue, branches of a graph, programmatic dependent
// launch) would count on each other's tickets: they need sets of their own first.
constexpr int kLaunchTickets = 1024;
__device__ __forceinline__ unsigned* launch_tickets() {
  static __device__ unsigned tickets[kLaunchTickets];
  return tickets;
}

// ---- memory ----

// Release and acquire among the threads of the GPU: what a counter between blocks needs, and less
// than __threadfence, which orders all fences of the GPU as well.
__device__ __forceinline__ void fence_device() {
  asm volatile("fence.acq_rel.gpu;" ::: "memory");
}

template <class V>
__device__ __forceinline__ V load_vec(const void* from) {
  static_assert(sizeof(V) == 4 || sizeof(V) == 8 || sizeof(V) == 16);
  // Through CUDA's own vector types, so that it is one instruction whatever V is.
  using Words = std::conditional_t<sizeof(V) == 16, uint4,
                                   std::conditional_t<sizeof(V) == 8, uint2, unsigned>>;
  const Words words = *static_cast<const Words*>(from);
  V value;
  __builtin_memcpy(&value, &words, sizeof value);
  return value;
}
template <class V>
__device__ __forceinline__ void store_vec(void* to, const V& value) {
  static_assert(sizeof(V) == 4 || sizeof(V) == 8 || sizeof(V) == 16);
  using Words = std::conditional_t<sizeof(V) == 16, uint4,
                                   std::conditional_t<sizeof(V) == 8, uint2, unsigned>>;
  Words words;
  __builtin_memcpy(&words, &value, sizeof words);
  *static_cast<Words*>(to) = words;
}

__device__ __forceinline__ unsigned shared_address(const void* shared) {
  return static_cast<unsigned>(__cvta_generic_to_shared(shared));
}

__device__ __forceinline__ void cp_async_16_or_zero(void* to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
               "l"(__cvta_generic_to_global(from)), "r"(valid ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void cp_async_16(void* to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)),
               "l"(__cvta_generic_to_global(from))
               : "memory");
}
__device__ __forceinline__ void cp_async_4_or_zero(void* to, const void* from, bool valid) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(to)),
               "l"(__cvta_generic_to_global(from)), "r"(valid ? 4 : 0)
               : "memory");
}
__device__ __forceinline__ void cp_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int N>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

}  // namespace ek::kernels::cuda_target

#include "kernels/cuda/base/native_tensor.cuh"
