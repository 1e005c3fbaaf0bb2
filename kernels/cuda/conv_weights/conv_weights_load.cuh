#pragma once
// What a block of the tensor-core weight gradient (conv_weights_mma.cuh) brings to shared memory.
//
// What the windows are of may be computed where x is loaded, by a prologue as small as this one:
//
//   template <int channels> struct Factors    of a block's channels, in shared memory; with
//   template <int channels>                   fill, run by all threads before a barrier, for the
//   __device__ void fill(Factors<channels>& factors, int channel, int existing) const;
//                                             `existing` ones from `channel` (of all groups) on
//   __device__ bool computes() const;         false: windows of x itself
//   template <int N, int channels>
//   __device__ void operator()(const Factors<channels>& factors, int column, Pack<T, N>& values,
//                              std::int64_t at) const;
//
// which replaces N neighbouring channels, from the block's channel `column` on, of the pixel of x
// at element `at`. Zeros beyond the image do not pass through it. So may dy, of itself and of a
// tensor of its shape that is loaded beside it:
//
//   template <int rows> struct Factors, fill  as above, of a block's output channels
//   __device__ const T* beside() const;       null: dy itself
//   template <int N, int rows>
//   __device__ void operator()(const Factors<rows>& factors, int column, Pack<T, N>& values,
//                              const Pack<T, N>& beside) const;
#include "kernels/cuda/base/block_place.cuh"
#include "kernels/cuda/conv_weights/conv_weights_plan.cuh"
#include "kernels/cuda/optim/packs.cuh"

namespace ek::kernels::EK_TARGET {
namespace {

// Windows of x itself.
struct NoWindowPrologue {
  static constexpr bool kIdentity = true;
  template <int channels>
  struct Factors {};
};

// dy itself.
struct NoRowPrologue {
  static constexpr bool kIdentity = true;
  template <int rows>
  struct Factors {};
};

// A block's part of the gradient.
template <class Block>
struct GradientShare {
  int set, row, channel, tap;  // the first of each

  __device__ GradientShare(const GradientPlan& p, const BlockPlace& block)
      : set(int(block.z) / p.row_blocks),
        row(int(block.z) % p.row_blocks * Block::rows),
        channel(int(block.y) / p.tap_blocks * Block::channels),
        tap(int(block.y) % p.tap_blocks * Block::taps) {}

  // Stores the i-th sum of a lane of a warp where the gradient has it, or nowhere: it is beyond the
  // channels or taps, or joins two groups.
  __device__ __forceinline__ void store(const GradientPlan& p, int warp, int lane, int i, float sum,
                                        float* dweight) const {
    const int g = lane / 4, t = lane % 4;
    const int r = i / 4 / (Block::octets * Block::taps),
              column = i / 4 % (Block::octets * Block::taps);
    const int of_row = row + (warp * Block::row_tiles + r) * 16 + g + i % 4 / 2 * 8;
    const int of_channel = channel + column / Block::taps * 8 + 2 * t + i % 2;
    const int of_tap = tap + column % Block::taps;
    if (of_tap >= p.taps || of_row >= p.set_out || of_channel >= p.set_in ||
        of_row / p.group_out != of_channel / p.group_in) {
      return;
    }
    dweight[(std::int64_t(set * p.set_out + of_row) * p.taps + of_tap) * p.group_in +
            of_channel % p.group_in] = sum;
  }
};

// One thread's part of a tile: visit(run, column, to, tensor, from, valid) for runs of N elements,
// from tensor[from] to `to` in shared memory, where they are the block's channels (or rows) from
// `column` on. Not valid: beyond the image or the channels, a zero.
template <int N>
using Run = std::integral_constant<int, N>;

template <class Block, int N, class T, class Visit>
__device__ void for_own_x(const GradientPlan& p, const GradientShare<Block>& share,
                          std::int64_t tile, const T* x, T* to, const Visit& visit) {
  const std::int64_t image = tile / (p.tiles_h * p.tiles_w);
  const int top = int(tile / p.tiles_w % p.tiles_h) * p.tile_h * p.stride_h - p.pad_h;
  const int left = int(tile % p.tiles_w) * p.tile_w * p.stride_w - p.pad_w;
  constexpr int runs = Block::channels / N;
#pragma unroll 1  // registers belong to the sums
  for (int i = int(threadIdx.x); i < p.halo_h * p.halo_w * runs; i += Block::threads) {
    const int pixel = i / runs, c = share.channel + i % runs * N;
    const int h = top + pixel / p.halo_w * p.step_h, w = left + pixel % p.halo_w * p.step_w;
    const bool valid = h >= 0 && h < p.in_h && w >= 0 && w < p.in_w && c < p.set_in;
    const std::int64_t from =
        ((image * p.in_h + h) * p.in_w + w) * p.in_c + share.set * p.set_in + c;
    const int column = i % runs * N;
    visit(Run<N>(), column, to + pixel * Block::channel_pitch + column, x, from, valid);
  }
}
template <class Block, int N, class T, class Visit>
__device__ void for_own_dy(const GradientPlan& p, const GradientShare<Block>& share,
                           std::int64_t tile, const T* dy, T* to, const Visit& visit) {
  const std::int64_t image = tile / (p.tiles_h * p.tiles_w);
  const int top = int(tile / p.tiles_w % p.tiles_h) * p.tile_h;
  const int left = int(tile % p.tiles_w) * p.tile_w;
  constexpr int runs = Block::rows / N;
#pragma unroll 1  // registers belong to the sums
  for (int i = int(threadIdx.x); i < p.depth * runs; i += Block::threads) {
    const int pixel = i / runs, c = share.row + i % runs * N;
    const int h = top + pixel / p.tile_w, w = left + pixel % p.tile_w;
    const bool valid = pixel < p.tile_h * p.tile_w && h < p.out_h && w < p.out_w && c < p.set_out;
    const std::int64_t from =
        ((image * p.out_h + h) * p.out_w + w) * p.out_c + share.set * p.set_out + c;
    const int column = i % runs * N;
    visit(Run<N>(), column, to + pixel * Block::row_pitch + column, dy, from, valid);
  }
}
// In 16 bytes at a time where that serves.
template <class Block, class T, class Visit>
__device__ void for_own_x(const GradientPlan& p, const GradientShare<Block>& share,
                          std::int64_t tile, const T* x, T* to, const Visit& visit) {
  if (p.packed_x) {
    for_own_x<Block, 16 / int(sizeof(T))>(p, share, tile, x, to, visit);
  } else {
    for_own_x<Block, 1>(p, share, tile, x, to, visit);
  }
}
template <class Block, class T, class Visit>
__device__ void for_own_dy(const GradientPlan& p, const GradientShare<Block>& share,
                           std::int64_t tile, const T* dy, T* to, const Visit& visit) {
  if (p.packed_dy) {
    for_own_dy<Block, 16 / int(sizeof(T))>(p, share, tile, dy, to, visit);
  } else {
    for_own_dy<Block, 1>(p, share, tile, dy, to, visit);
  }
}

// A buffer has x, then dy, then what the prologue of dy reads beside it.
template <class Block, class T>
__device__ T* rows_in(const GradientPlan& p, T* buffer) {
  return buffer + p.halo_h * p.halo_w * Block::channel_pitch;
}
template <class Block>
__device__ int row_elements(const GradientPlan& p) {
  return p.depth * Block::row_pitch;
}

// Starts the copies of a tile.
template <class Block, class T, class RowPrologue>
__device__ void fetch(const GradientPlan& p, const GradientShare<Block>& share, std::int64_t tile,
                      const T* x, const T* dy, const RowPrologue& row_prologue, T* buffer) {
  const auto copy = [](auto run, int, T* to, const T* tensor, std::int64_t from, bool valid) {
    const T* const source = valid ? tensor + from : tensor;
    if constexpr (run.value * sizeof(T) == 16) {
      cp_async_16_or_zero(to, source, valid);
    } else if constexpr (sizeof(T) == 4) {
      cp_async_4_or_zero(to, source, valid);
    } else {
      *to = valid ? *source : T{};
    }
  };
  T* const rows = rows_in<Block>(p, buffer);
  for_own_x<Block>(p, share, tile, x, buffer, copy);
  for_own_dy<Block>(p, share, tile, dy, rows, copy);
  if constexpr (!RowPrologue::kIdentity) {
    if (const T* const beside = row_prologue.beside()) {
      for_own_dy<Block>(p, share, tile, beside, rows + row_elements<Block>(p), copy);
    }
  }
  cp_async_commit();
}

// Finishes what this thread has copied, once for all that read it: the prologues, and rounding.
template <class Product, class Block, class Prologue, class RowPrologue,
          class T = typename Product::Element>
__device__ void finish_own(const GradientPlan& p, const GradientShare<Block>& share,
                           std::int64_t tile, const Prologue& prologue,
                           const typename Prologue::template Factors<Block::channels>& factors,
                           const RowPrologue& row_prologue,
                           const typename RowPrologue::template Factors<Block::rows>& row_factors,
                           T* buffer) {
  const auto finish = [](T* to, auto pack) {
    if constexpr (Product::rounds) {
#pragma unroll
      for (T& v : pack.values) v = std::bit_cast<T>(to_tf32(v));
    }
    store_pack<decltype(pack)::size>(to, pack);
  };
  const T* const none = nullptr;
  bool of_x = Product::rounds, of_dy = Product::rounds;
  if constexpr (!Prologue::kIdentity) of_x |= prologue.computes();
  if constexpr (!RowPrologue::kIdentity) of_dy |= row_prologue.beside() != nullptr;
  if (of_x) {
    for_own_x<Block>(p, share, tile, none, buffer,
                     [&](auto run, [[maybe_unused]] int column, T* to, const T*,
                         [[maybe_unused]] std::int64_t from, [[maybe_unused]] bool valid) {
                       auto pack = load_pack<run.value>(to);
                       if constexpr (!Prologue::kIdentity) {
                         if (valid && prologue.computes()) prologue(factors, column, pack, from);
                       }
                       finish(to, pack);
                     });
  }
  if (of_dy) {
    for_own_dy<Block>(p, share, tile, none, rows_in<Block>(p, buffer),
                      [&](auto run, [[maybe_unused]] int column, T* to, const T*, std::int64_t,
                          [[maybe_unused]] bool valid) {
                        auto pack = load_pack<run.value>(to);
                        if constexpr (!RowPrologue::kIdentity) {
                          if (valid && row_prologue.beside()) {
                            row_prologue(row_factors, column, pack,
                                         load_pack<run.value>(to + row_elements<Block>(p)));
                          }
                        }
                        finish(to, pack);
                      });
  }
}

}  // namespace
}  // namespace ek::kernels::EK_TARGET
