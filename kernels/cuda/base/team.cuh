#pragma once
// A team is what works on one row: a warp, or a whole block. Kernels that are written for a team
// loop over a row from rank() in steps of its size and combine what its threads found.
#include <limits>

#include "kernels/cuda/base/primitives.cuh"

namespace ek::kernels::EK_TARGET {

constexpr int kNone = std::numeric_limits<int>::max();  // the index of no element

template <class V>
__device__ V from_across(V value, int distance) {
  if constexpr (std::is_arithmetic_v<V>) {
    return __shfl_xor_sync(0xFFFFFFFF, value, distance);
  } else {
    return value.across(distance);
  }
}

// `size` threads: 32, or all of a larger block.
template <int size>
struct Team {
  static_assert(size % 32 == 0);
  static constexpr int threads = size;
  static constexpr int block_threads = size > 32 ? size : 128;
  static constexpr int teams_per_block = block_threads / size;

  static dim3 grid(std::int64_t rows) {
    constexpr std::int64_t most = 1 << 16;  // each then works on several rows
    const std::int64_t blocks = (rows + teams_per_block - 1) / teams_per_block;
    return dim3(unsigned(blocks < most ? blocks : most));
  }

  __device__ static int rank() { return int(threadIdx.x) % size; }
  // Which team of its block this one is.
  __device__ static int place() { return int(threadIdx.x) / size; }
  __device__ static std::int64_t first_row() {
    return std::int64_t(blockIdx.x) * teams_per_block + place();
  }
  __device__ static std::int64_t all_teams() { return std::int64_t(gridDim.x) * teams_per_block; }

  // Behind it every thread of the team sees what any of them wrote before it.
  __device__ static void sync() {
    if constexpr (size > 32) {
      __syncthreads();
    } else {
      __syncwarp();
    }
  }

  // op over the values of all threads, the same for each of them; op(a, b) equals op(b, a). V is a
  // number, or has V across(int distance), its value in another lane. The order is fixed.
  template <class Op, class V>
  __device__ static V reduce(V value, Op op = {}) {
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
      value = op(value, from_across(value, distance));
    }
    if constexpr (size > 32) {
      constexpr int warps = size / 32;
      EK_SHARED(of_warp, V[warps]);
      __syncthreads();  // it may follow itself
      if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
      __syncthreads();
      value = of_warp[0];
      for (int w = 1; w < warps; ++w) value = op(value, of_warp[w]);
    }
    return value;
  }
};

// A maximum of a row and where it is first. index: kNone of nothing, -1 of a row with a NaN, as
// math::first_maximum has it.
template <class T>
struct Best {
  T value;
  int index;
  __device__ Best across(int distance) const {
    return {from_across(value, distance), from_across(index, distance)};
  }
  __device__ static Best none() { return {-std::numeric_limits<T>::infinity(), kNone}; }
  __device__ static Best of(T value, int index) { return {value, value == value ? index : -1}; }
};
struct Better {
  template <class T>
  __device__ Best<T> operator()(Best<T> a, Best<T> b) const {
    if (a.index < 0) return a;
    if (b.index < 0) return b;
    return b.value > a.value || (b.value == a.value && b.index < a.index) ? b : a;
  }
};

// What launches one team per row, and the number of columns from which one is worth its while:
// below kFewColumns a thread does a row, up to kWarpColumns a warp, beyond a block.
constexpr int kFewColumns = 8;
constexpr int kWarpColumns = 512;
using WarpTeam = Team<32>;
using BlockTeam = Team<256>;

template <class TeamType>
Launch for_rows(std::int64_t rows, Stream stream) {
  return {TeamType::grid(rows), dim3(unsigned(TeamType::block_threads)), 0, stream};
}

// One thread per item, each on several where there are very many.
constexpr int kItemThreads = 256;
__device__ inline std::int64_t first_item() {
  return std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline std::int64_t all_items() {
  return std::int64_t(gridDim.x) * blockDim.x;
}
inline Launch for_items(std::int64_t items, Stream stream, int threads = kItemThreads) {
  constexpr std::int64_t most = 1 << 16;
  const std::int64_t blocks = (items + threads - 1) / threads;
  return {dim3(unsigned(blocks < most ? blocks : most)), dim3(unsigned(threads)), 0, stream};
}

}  // namespace ek::kernels::EK_TARGET
