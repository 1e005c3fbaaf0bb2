#include <exception>

#include "kernels/cuda/base/primitives.cuh"
#include "tests/simt/executor/fault.h"

// Kernels without a fault that come close to one: what the checks must not take for a fault.
namespace ek::kernels::EK_TARGET {
namespace {

constexpr int kThreads = 64, kBlocks = 3;

__global__ void neighbours(const float* x, float* y) {
  EK_SHARED(tile, float[kThreads]);
  const int t = int(threadIdx.x), i = int(blockIdx.x) * kThreads + t;
  for (int pass = 0; pass < 3; ++pass) {
    tile[t] = x[i];
    __syncthreads();
    y[i] = tile[(t + 1) % kThreads] - tile[t];
    __syncthreads();
  }
}

__global__ void inside_the_warp(const float* x, float* y) {
  EK_SHARED(tile, float[kThreads]);
  const int t = int(threadIdx.x), i = int(blockIdx.x) * kThreads + t;
  for (int pass = 0; pass < 3; ++pass) {
    tile[t] = x[i];
    __syncwarp();
    y[i] = tile[t ^ 1];
    __syncwarp();
  }
}

// Halves of a warp go their own ways, each with its own mask.
__global__ void half_warps(const float* x, float* y) {
  EK_SHARED(tile, float[kThreads]);
  const int t = int(threadIdx.x), i = int(blockIdx.x) * kThreads + t;
  if (t % 32 < 16) {
    tile[t] = x[i];
    __syncwarp(0x0000FFFF);
    y[i] = tile[t ^ 3] + __shfl_xor_sync(0x0000FFFF, x[i], 1);
  } else {
    y[i] = __shfl_down_sync(0xFFFF0000, x[i], 1, 16);
  }
}

// bf16 and byte neighbours in one word, each written by its own thread.
__global__ void narrow_neighbours(const float* x, float* y) {
  EK_SHARED(halves, bf16[kThreads]);
  EK_SHARED(bytes, std::uint8_t[kThreads]);
  const int t = int(threadIdx.x), i = int(blockIdx.x) * kThreads + t;
  halves[t] = to_bf16(float(t));
  bytes[t] = std::uint8_t(t);
  y[i] = float(bytes[t]) + float(halves[t].bits) * 0 + x[i];
  __syncthreads();
  y[i] += float(bytes[(t + 1) % kThreads]);
}

__global__ void leaves_early(const float* x, float* y) {
  const int i = int(blockIdx.x) * kThreads + int(threadIdx.x);
  if (i % 3 == 0) {
    y[i] = 0;
    return;
  }
  y[i] = x[i];
}

__global__ void reduces(const float* x, float* y) {
  const int i = int(blockIdx.x) * kThreads + int(threadIdx.x);
  const float sum = block_reduce<Sum>(x[i], 0.0f);
  const float top = block_reduce<Maximum>(x[i], 0.0f);
  y[i] = sum + top;
}

// Integer counts by atomics, in shared and then in global memory.
__global__ void counts(const float* x, int* count) {
  EK_SHARED(own, int[4]);
  const int t = int(threadIdx.x), i = int(blockIdx.x) * kThreads + t;
  if (t < 4) own[t] = 0;
  __syncthreads();
  atomicAdd(&own[int(x[i]) % 4], 1);
  __syncthreads();
  if (t < 4) atomicAdd(&count[t], own[t]);
}

// The sum of everything by whichever block comes last.
__global__ void ticket_sum(const float* x, float* partial, float* y) {
  const int i = int(blockIdx.x) * kThreads + int(threadIdx.x);
  const float sum = block_reduce<Sum>(x[i], 0.0f);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
  if (!last_block(launch_tickets())) return;
  const int t = int(threadIdx.x);
  const float all = block_reduce<Sum>(t < kBlocks ? partial[t] : 0.0f, 0.0f);
  if (t == 0) y[0] = all;
}

// Fails when one block has taken a ticket.
__global__ void fails_with_a_ticket() {
  if (blockIdx.x == 0) last_block(launch_tickets());
  device_require(blockIdx.x == 0, "no other block expected");
}

struct Stages {
  SharedArray<SharedArray<float4, kThreads>, 2> stage;
};

// Two stages in flight: copies of the next tile run while this one is used.
__global__ void double_buffered(const float4* x, int tiles, float* y) {
  Stages& s = shared_memory<Stages>();
  const int t = int(threadIdx.x);
  const auto fetch = [&](int tile) {
    if (tile < tiles) cp_async_16_or_zero(&s.stage[tile % 2][t], x + tile * kThreads + t, t != 7);
    cp_async_commit();
  };
  fetch(0);
  float sum = 0;
  for (int tile = 0; tile < tiles; ++tile) {
    fetch(tile + 1);
    cp_async_wait<1>();
    __syncthreads();
    sum += s.stage[tile % 2][(t + 1) % kThreads].w;
    __syncthreads();
  }
  cp_async_wait<0>();
  y[t] = sum;
}

__global__ void votes(const float* x, float* y) {
  const int t = int(threadIdx.x), i = int(blockIdx.x) * kThreads + t;
  const int odd = int(x[i]) % 2;
  int score = __syncthreads_count(odd);
  score += __syncthreads_or(t == 5) + 2 * __syncthreads_and(t != 5);
  score += __any_sync(0xFFFFFFFF, t == 40) != 0;
  score += int(__reduce_max_sync(0xFFFFFFFF, t % 32)) + int(__ballot_sync(0xFFFFFFFF, t < 2) % 8);
  y[i] = float(score);
}

template <auto Kernel>
std::vector<float> run_case() {
  const simt::Guarded<float> x(simt::test::counting(kBlocks * kThreads), "x");
  simt::Guarded<float> y(kBlocks * kThreads, "y");
  launch<Kernel>({kBlocks, kThreads}, x.data(), y.data());
  return y.values();
}

std::vector<float> run_counts() {
  const simt::Guarded<float> x(simt::test::counting(kBlocks * kThreads), "x");
  simt::Guarded<int> count(std::vector<int>(4, 0), "count");
  launch<&counts>({kBlocks, kThreads}, x.data(), count.data());
  const auto values = count.values();
  return {values.begin(), values.end()};
}

// Twice, with the ticket that the first launch left, and one more behind a launch that failed.
std::vector<float> run_ticket() {
  const simt::Guarded<float> x(simt::test::counting(kBlocks * kThreads), "x");
  simt::Guarded<float> partial(kBlocks, "partial"), y(3, "y");
  const auto run = [&](float* to) {
    launch<&ticket_sum>({kBlocks, kThreads}, x.data(), partial.data(), to);
  };
  run(y.data());
  run(y.data() + 1);
  try {
    launch<&fails_with_a_ticket>({2, kThreads});
    return {};
  } catch (const std::exception&) {
    run(y.data() + 2);
  }
  return y.values();
}

std::vector<float> run_double_buffered() {
  constexpr int tiles = 5;
  const simt::Guarded<float> x(simt::test::counting(4 * tiles * kThreads), "x");
  simt::Guarded<float> y(kThreads, "y");
  launch<&double_buffered>({1, kThreads, sizeof(Stages)}, reinterpret_cast<const float4*>(x.data()),
                           tiles, y.data());
  return y.values();
}

template <class F>
std::vector<float> expected(F of_index, int count = kBlocks * kThreads) {
  std::vector<float> values;
  for (int i = 0; i < count; ++i) values.push_back(of_index(i));
  return values;
}

}  // namespace
}  // namespace ek::kernels::EK_TARGET

namespace ek::simt::test {

using namespace kernels::EK_TARGET;

std::vector<Fault> correct_kernels() {
  constexpr int n = kThreads, all = kThreads * kBlocks;
  const auto clean = [](const char* name, std::vector<float> (*kernel)(),
                        std::vector<float> result) {
    return Fault{name, "missed", "missed", "missed", kernel, std::move(result)};
  };
  return {
      clean("neighbours in a tile", run_case<&neighbours>,
            expected([](int i) { return i % n == n - 1 ? 1.0f - n : 1.0f; })),
      clean("neighbours in a warp", run_case<&inside_the_warp>,
            expected([](int i) { return float(i ^ 1); })),
      clean("half warps", run_case<&half_warps>, expected([](int i) {
              if (i % 32 < 16) return float(i ^ 3) + float(i ^ 1);
              return float(i % 16 == 15 ? i : i + 1);
            })),
      clean("narrow neighbours", run_case<&narrow_neighbours>,
            expected([](int i) { return float(i % n + i + (i + 1) % n); })),
      clean("early return without a barrier", run_case<&leaves_early>,
            expected([](int i) { return i % 3 == 0 ? 0.0f : float(i); })),
      clean("block reductions one after another", run_case<&reduces>, expected([](int i) {
              const int first = i / n * n;
              return float(n * first + n * (n - 1) / 2 + first + n - 1);
            })),
      clean("votes", run_case<&votes>, expected([](int i) {
              return float(n / 2 + 1 + (i % n >= 32) + 31 + (i % n < 32 ? 3 : 0));
            })),
      clean("counts by atomics", run_counts, constant(4, all / 4)),
      clean("ticket sum", run_ticket, constant(3, float(all * (all - 1) / 2))),
      clean("double buffer of asynchronous copies", run_double_buffered,
            expected(
                [](int t) {
                  const int from = (t + 1) % n;
                  float sum = 0;
                  for (int tile = 0; tile < 5; ++tile) sum += float(4 * (tile * n + from) + 3);
                  return from == 7 ? 0.0f : sum;
                },
                n)),
  };
}

}  // namespace ek::simt::test
