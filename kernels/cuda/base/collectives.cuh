#pragma once
// What kernels build from the primitives, the same text for both targets; included by
// primitives.cuh. All of them are deterministic: the order of additions depends on the shape alone.
#ifdef __CUDACC__
#include "kernels/cuda/base/native.cuh"
#else
#include "kernels/simt/warp/target.h"
#endif

namespace ek::kernels::EK_TARGET {

// An array inside the struct of shared_memory<T>() or EK_SHARED; the host build checks the index,
// which nothing else would notice when it runs into the next member.
template <class T, int N>
struct SharedArray {
  T values[N];

  __device__ __forceinline__ T& operator[](int i) {
    device_require(i >= 0 && i < N, "an index past the end of a SharedArray");
    return values[i];
  }
  __device__ __forceinline__ const T& operator[](int i) const {
    device_require(i >= 0 && i < N, "an index past the end of a SharedArray");
    return values[i];
  }
};

struct Sum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Maximum {  // a NaN wins
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};

// op over the values of all 32 lanes, which all of them get.
template <class Op, class T>
__device__ T warp_reduce(T value, Op op = {}) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    value = op(value, __shfl_xor_sync(0xFFFFFFFF, value, distance));
  }
  return value;
}

// op over the values of all threads of a block of whole warps, in x alone, which all of them get.
// Contains barriers, also before the first use of its shared memory, so it may follow itself.
template <class Op, class T>
__device__ T block_reduce(T value, T neutral, Op op = {}) {
  EK_SHARED(of_warp, T[32]);
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32;
  value = warp_reduce<Op>(value, op);
  __syncthreads();
  if (lane == 0) of_warp[warp] = value;
  __syncthreads();
  const int warps = int(blockDim.x) / 32;
  return warp_reduce<Op>(lane < warps ? of_warp[lane] : neutral, op);
}

// True in every thread of exactly one of the `blocks` blocks that come here with this ticket: the
// last one. All that the others wrote to global memory before is visible to it. `ticket` is 0
// before the first one comes and again after the last one, as those of launch_tickets() are at the
// start of a launch. The pattern (write, barrier, fence, atomic, fence, barrier, read) belongs here
// and nowhere else; see the PTX memory model for why each of them is needed.
__device__ inline bool last_of(unsigned* ticket, unsigned blocks) {
  bool last = false;
  __syncthreads();
  if (threadIdx.x == 0 && threadIdx.y == 0 && threadIdx.z == 0) {
    fence_device();
    last = atomicAdd(ticket, 1u) == blocks - 1;
    if (last) {
      fence_device();  // only who reads what the others wrote pays for it
      atomicExch(ticket, 0u);
    }
  }
  return __syncthreads_or(last) != 0;
}

// The last block of the grid.
__device__ inline bool last_block(unsigned* ticket) {
  return last_of(ticket, gridDim.x * gridDim.y * gridDim.z);
}

}  // namespace ek::kernels::EK_TARGET
