#pragma once
// Everything that a kernel may use, for nvcc and for the host compiler. A .cu file includes its
// family's header and this one, puts its kernels in namespace ek::kernels::EK_TARGET (cuda_target
// or simt_target, so that both builds can live in one program) and specialises the family's
// functions for EK_TARGET::Backend. docs/host-executor.md is the guide; on both sides:
//
//   __global__ __device__ __forceinline__ __launch_bounds__   threadIdx blockIdx blockDim gridDim
//   launch<&kernel<...>>({grid, block, shared_bytes, stream}, arguments...)
//   shared_memory<T>()                 all dynamic shared memory, as one struct T
//   EK_SHARED(name, type)              a static shared variable: EK_SHARED(sums, float[32])
//   SharedArray<T, N>                  an array member of T whose index the host checks
//   __syncthreads[_count|_and|_or]  __syncwarp  __shfl[_up|_down|_xor]_sync  __ballot_sync
//   __any_sync  __all_sync  __reduce_{add,min,max,and,or}_sync  __popc
//   atomicAdd atomicMin atomicMax atomicExch atomicCAS  __threadfence   (32 bits; see the types)
//   fence_device()                     __threadfence's order but for a total one of all fences
//   load_vec<V>(p)  store_vec(p, v)    V of 4, 8 or 16 bytes, aligned to its size
//   cp_async_16(to, from)  cp_async_{16,4}_or_zero(to, from, valid)  cp_async_commit()
//   cp_async_wait<N>()                 to shared from global, aligned to their size
//   ldmatrix(r, row)  ldmatrix_trans(r, row)    r: uint32_t[1|2|4]
//   mma_tf32(c, a, b)  mma_bf16(c, a, b)        m16n8k8 and m16n8k16; c[4], a[4], b[2]
//   to_tf32(x)  to_bf16(x)  to_bf16x2(low, high)  relu_to_bf16x2(low, high)
//   device_require(condition, "text")  a check of the host build and of debug device builds
//   launch_tickets()                   kLaunchTickets counters, zero when a launch starts
//   last_of(ticket, blocks)  last_block(ticket)  warp_reduce  block_reduce    collectives.cuh
//
// Rules that the compiler does not know: threads of a barrier come from one line; only barriers,
// __syncwarp and fences order memory (shuffles do not); no thread leaves while others still meet
// at barriers; a kernel's locals need no destructor; no __shared__; no float atomics in a result
// that must be reproducible.
#ifdef __CUDACC__
#include "kernels/cuda/base/native.cuh"
#else
#include "kernels/simt/warp/target.h"
#endif

#include "kernels/cuda/base/collectives.cuh"
