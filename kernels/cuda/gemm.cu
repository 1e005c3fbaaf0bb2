#include "kernels/gemm.h"

#include <algorithm>

#include "kernels/base/arguments.h"
#include "kernels/cuda/base/choice.cuh"
#include "kernels/cuda/gemm_mma.cuh"

// One thread, one element of c, is the teaching rung: it serves outputs that would not fill a tile.
// The tiled kernel brings tiles of a and b through shared memory and sums R x R elements a thread
// in registers. In both one thread adds up an element, in the order of k, by fused multiply-adds,
// and more than 1024 of them in pieces: the bits do not depend on the kernel, the tile or the grid.
// The third version, on tensor cores, is for float alone: gemm_mma.cuh.
namespace ek::kernels {
namespace EK_TARGET {
namespace {

constexpr int kThreads = 256;
constexpr int kSide = 16;                      // the threads of a tile are kSide x kSide
constexpr int kDepth = 16;                     // of k that lies in shared memory at a time
constexpr std::int64_t kMostBlocks = 1 << 16;  // each then works on several tiles or elements

template <class T>
__global__ void __launch_bounds__(kThreads) gemm_plain(Factor<T> a, Factor<T> b, T* c) {
  const std::int64_t step = std::int64_t(gridDim.x) * kThreads;
  for (std::int64_t i = std::int64_t(blockIdx.x) * kThreads + threadIdx.x; i < a.size * b.size;
       i += step) {
    double total = 0;
    T sum = 0;
    for (std::int64_t k = 0; k < a.depth; ++k) {
      if (k > 0 && k % kPieceDepth == 0) {
        total += double(sum);
        sum = 0;
      }
      sum = std::fma(a(k, i / b.size), b(k, i % b.size), sum);
    }
    c[i] = a.depth > kPieceDepth ? T(total + double(sum)) : sum;
  }
}

// Four elements longer than the tile: rows stay aligned to 16 bytes, and the 16 threads that write
// neighbours in k to shared memory meet at most two to a bank (float).
template <class T, int R>
struct Panel {
  T values[kDepth][R * kSide + 4];
};

// Two of each factor: one is read while the next one is filled.
template <class T, int R>
struct Panels {
  alignas(16) Panel<T, R> a[2];
  alignas(16) Panel<T, R> b[2];
};

// A thread's R elements of a panel on their way from global memory. Threads run along whatever lies
// side by side there.
template <class T, int R>
struct Fetched {
  T values[R];

  __device__ static int k_of(const Factor<T>& f, int j) {
    return f.k_inner ? int(threadIdx.x) % kDepth : (int(threadIdx.x) + j * kThreads) / (R * kSide);
  }
  __device__ static int i_of(const Factor<T>& f, int j) {
    return f.k_inner ? int(threadIdx.x) / kDepth + j * kSide
                     : (int(threadIdx.x) + j * kThreads) % (R * kSide);
  }
  __device__ void load(const Factor<T>& f, std::int64_t k, std::int64_t i) {
#pragma unroll
    for (int j = 0; j < R; ++j) values[j] = f.or_zero(k + k_of(f, j), i + i_of(f, j));
  }
  __device__ void store(const Factor<T>& f, Panel<T, R>& panel) const {
#pragma unroll
    for (int j = 0; j < R; ++j) panel.values[k_of(f, j)][i_of(f, j)] = values[j];
  }
};

template <class T, int N>
struct alignas(N * sizeof(T)) Pack {
  T values[N];
};

// R neighbours from shared memory, in accesses of at most 16 bytes.
template <class T, int R>
__device__ void read(const T* from, T (&to)[R]) {
  constexpr int step = R * sizeof(T) > 16 ? 16 / int(sizeof(T)) : R;
#pragma unroll
  for (int i = 0; i < R; i += step) {
    const auto part = load_vec<Pack<T, step>>(from + i);
#pragma unroll
    for (int j = 0; j < step; ++j) to[i + j] = part.values[j];
  }
}

// sum += the product of one pair of panels, for the thread's R rows and R columns.
template <class T, int R>
__device__ void multiply_add(const Panel<T, R>& a, const Panel<T, R>& b, T (&sum)[R][R]) {
  const int y = int(threadIdx.x) / kSide * R, x = int(threadIdx.x) % kSide * R;
#pragma unroll
  for (int k = 0; k < kDepth; ++k) {
    T rows[R], columns[R];
    read(&a.values[k][y], rows);
    read(&b.values[k][x], columns);
#pragma unroll
    for (int i = 0; i < R; ++i) {
#pragma unroll
      for (int j = 0; j < R; ++j) sum[i][j] = std::fma(rows[i], columns[j], sum[i][j]);
    }
  }
}

// Tiles of 16 R x 16 R, one after another for a block. The panels that follow are fetched before
// the sum over those that are there, so global memory answers meanwhile; one barrier a step
// separates the writers of a panel from its readers, since the readers of two steps ago are behind
// it too. Beyond the matrices the panels hold zeros, which change no sum (but make +0 of a -0,
// which only an underflow leaves). `pieces`: for a depth above kPieceDepth.
template <class T, int R, bool pieces>
__global__ void __launch_bounds__(kThreads) gemm_tiled(Factor<T> a, Factor<T> b, T* c) {
  constexpr int kTile = R * kSide;
  Panels<T, R>& shared = shared_memory<Panels<T, R>>();
  const std::int64_t tiles_x = (b.size + kTile - 1) / kTile;
  const std::int64_t tiles = (a.size + kTile - 1) / kTile * tiles_x;
  int now = 0;
  for (std::int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const std::int64_t top = tile / tiles_x * kTile, left = tile % tiles_x * kTile;
    T sum[R][R] = {};
    double total[pieces ? R : 1][pieces ? R : 1] = {};
    Fetched<T, R> from_a, from_b;
    from_a.load(a, 0, top);
    from_b.load(b, 0, left);
    for (std::int64_t k = 0; k < a.depth; k += kDepth) {
      from_a.store(a, shared.a[now]);
      from_b.store(b, shared.b[now]);
      __syncthreads();
      if (k + kDepth < a.depth) {
        from_a.load(a, k + kDepth, top);
        from_b.load(b, k + kDepth, left);
      }
      multiply_add(shared.a[now], shared.b[now], sum);
      now ^= 1;
      if constexpr (pieces) {
        const bool last = k + kDepth >= a.depth;
        if (!last && (k + kDepth) % kPieceDepth != 0) continue;
#pragma unroll
        for (int i = 0; i < R; ++i) {
#pragma unroll
          for (int j = 0; j < R; ++j) {
            total[i][j] += double(sum[i][j]);
            sum[i][j] = last ? T(total[i][j]) : T(0);
          }
        }
      }
    }
    const std::int64_t y = top + int(threadIdx.x) / kSide * R;
    const std::int64_t x = left + int(threadIdx.x) % kSide * R;
#pragma unroll
    for (int i = 0; i < R; ++i) {
#pragma unroll
      for (int j = 0; j < R; ++j) {
        if (y + i < a.size && x + j < b.size) c[(y + i) * b.size + x + j] = sum[i][j];
      }
    }
  }
}

template <class T, int R>
std::int64_t tiles_of(const GemmShape& s) {
  constexpr std::int64_t tile = R * kSide;
  return (s.m + tile - 1) / tile * ((s.n + tile - 1) / tile);
}

template <class T, int R>
void tiled(Stream stream, const GemmShape& s, const Factor<T>& a, const Factor<T>& b, T* c) {
  const auto blocks = unsigned(std::min(tiles_of<T, R>(s), kMostBlocks));
  const Launch shape{dim3(blocks), dim3(kThreads), sizeof(Panels<T, R>), stream};
  if (s.k > kPieceDepth) {
    launch<&gemm_tiled<T, R, true>>(shape, a, b, c);
  } else {
    launch<&gemm_tiled<T, R, false>>(shape, a, b, c);
  }
}

enum Version { plain, tiles, mma };  // as kernels/base/versions.cpp has them

// Less than one small tile, or a k of which a panel would be mostly zeros: the plain kernel. Then
// tensor cores where tf32 is asked for, and else tiles: three tf32 products for an exact one leave
// tensor cores little to gain over fused multiply-adds, which keep infinities besides.
template <class T, class Again>
int version_for(const GemmShape& s, const Again& again) {
  constexpr std::int64_t small = 2 * kSide;
  const int named = named_version("gemm");
  require_argument(named != mma || std::is_same_v<T, float>,
                   "gemm: version mma expected elements of 4 bytes", std::int64_t(sizeof(T)));
  if (named >= 0) return named;
  constexpr bool has_mma = std::is_same_v<T, float>;
  const int rule = s.m * s.n < small * small || s.k < kDepth / 2  ? plain
                   : has_mma && s.products == FloatProducts::tf32 ? mma
                                                                  : tiles;
  return chosen(call_of<T>("gemm", {s.m, s.n, s.k, s.transpose_a, s.transpose_b}, s.products),
                has_mma ? 7 : 3, rule, again);
}

// Large tiles, which read half as much, once there are enough of them for the multiprocessors of a
// large GPU; else small ones.
template <class T>
void multiply(Stream stream, const GemmShape& s, const T* a, const T* b, T* c) {
  constexpr std::int64_t enough = 128;
  if (s.m == 0 || s.n == 0) return;
  const Factor<T> of_a{a, s.m, s.k, !s.transpose_a}, of_b{b, s.n, s.k, s.transpose_b};
  const int version = version_for<T>(s, [&] { multiply(stream, s, a, b, c); });
  if (version == plain) {
    const std::int64_t blocks = std::min((s.m * s.n + kThreads - 1) / kThreads, kMostBlocks);
    launch<&gemm_plain<T>>({dim3(unsigned(blocks)), dim3(kThreads), 0, stream}, of_a, of_b, c);
  } else if (version == tiles) {
    tiles_of<T, 4>(s) >= enough ? tiled<T, 4>(stream, s, of_a, of_b, c)
                                : tiled<T, 2>(stream, s, of_a, of_b, c);
  } else if constexpr (std::is_same_v<T, float>) {
    s.products == FloatProducts::tf32 ? gemm_on_tensor_cores<Tf32Product>(stream, of_a, of_b, c)
                                      : gemm_on_tensor_cores<SplitProduct>(stream, of_a, of_b, c);
  }
}

}  // namespace
}  // namespace EK_TARGET

using EK_TARGET::Backend;
template <>
void gemm<Backend, float>(Stream stream, const GemmShape& shape, const float* a, const float* b,
                          float* c) {
  EK_TARGET::multiply(stream, shape, a, b, c);
}
template <>
void gemm<Backend, double>(Stream stream, const GemmShape& shape, const double* a, const double* b,
                           double* c) {
  EK_TARGET::multiply(stream, shape, a, b, c);
}

}  // namespace ek::kernels
