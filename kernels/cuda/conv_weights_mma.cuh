#pragma once
// The weight gradient on tensor cores: a product of dy, turned (rows: output channels), and the
// windows of x (columns: input channels times taps), summed over pixels.
//
// A block brings tiles of output pixels to shared memory, with all input pixels that they meet
// (the halo), so that x is read once for all taps: a tap is another offset into the halo. Tiles
// arrive by asynchronous copies, the next one while this one is multiplied. The sums stay in
// registers over the block's whole share of the tiles; then the warps that took other pixels of the
// same sums are added in order. Where the pixels are split, each split leaves its sums in the
// workspace, and the last blocks add them up (conv_weights_sum.cuh). Beyond the image, and beyond
// the channels, the tiles hold zeros.
//
// What the windows are of may be computed where x is loaded, by a prologue as small as this one:
//
//   template <int channels> struct Factors    of a block's channels, in shared memory; with
//   template <int channels>                   fill, run by all threads before a barrier, for the
//   __device__ void fill(Factors<channels>& factors, int channel, int existing) const;
//                                             `existing` ones from `channel` (of all groups) on
//   template <int N, int channels>
//   __device__ void operator()(const Factors<channels>& factors, int column, Pack<T, N>& values,
//                              std::int64_t at) const;
//
// which replaces N neighbouring channels, from the block's channel `column` on, of the pixel of x
// at element `at`. Zeros beyond the image do not pass through it.
#include "kernels/cuda/conv_weights_sum.cuh"

namespace ek::kernels::EK_TARGET {
namespace {

// Windows of x itself.
struct NoWindowPrologue {
  static constexpr bool kIdentity = true;
  template <int channels>
  struct Factors {};
};

struct PixelOffsets {
  alignas(16) SharedArray<int, kTilePixels> of_pixel;  // of an output pixel's window in the halo
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
// x comes first in a buffer, then dy.
template <class Block, class T, class VisitX, class VisitDy>
__device__ void for_own(const GradientPlan& p, const GradientShare<Block>& share, std::int64_t tile,
                        const T* x, const T* dy, T* buffer, const VisitX& visit_x,
                        const VisitDy& visit_dy) {
  constexpr int N = 16 / int(sizeof(T));
  T* const rows = buffer + p.halo_h * p.halo_w * Block::channel_pitch;
  if (p.packed_x) {
    for_own_x<Block, N>(p, share, tile, x, buffer, visit_x);
  } else {
    for_own_x<Block, 1>(p, share, tile, x, buffer, visit_x);
  }
  if (p.packed_dy) {
    for_own_dy<Block, N>(p, share, tile, dy, rows, visit_dy);
  } else {
    for_own_dy<Block, 1>(p, share, tile, dy, rows, visit_dy);
  }
}

// Starts the copies of a tile.
template <class Block, class T>
__device__ void fetch(const GradientPlan& p, const GradientShare<Block>& share, std::int64_t tile,
                      const T* x, const T* dy, T* buffer) {
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
  for_own<Block>(p, share, tile, x, dy, buffer, copy, copy);
  cp_async_commit();
}

// Finishes what this thread has copied, once for all taps that read it: the prologue, and rounding.
template <class Product, class Block, class Prologue, class T = typename Product::Element>
__device__ void finish_own(const GradientPlan& p, const GradientShare<Block>& share,
                           std::int64_t tile, const Prologue& prologue,
                           const typename Prologue::template Factors<Block::channels>& factors,
                           T* buffer) {
  if constexpr (!Product::rounds && Prologue::kIdentity) return;
  const auto finish = [](T* to, auto pack) {
    if constexpr (Product::rounds) {
#pragma unroll
      for (T& v : pack.values) v = std::bit_cast<T>(to_tf32(v));
    }
    store_pack<decltype(pack)::size>(to, pack);
  };
  const T* const none = nullptr;
  for_own<Block>(
      p, share, tile, none, none, buffer,
      [&](auto run, [[maybe_unused]] int column, T* to, const T*,
          [[maybe_unused]] std::int64_t from, [[maybe_unused]] bool valid) {
        auto pack = load_pack<run.value>(to);
        if constexpr (!Prologue::kIdentity) {
          if (valid) prologue(factors, column, pack, from);
        }
        finish(to, pack);
      },
      [&](auto run, int, T* to, const T*, std::int64_t, bool) {
        if constexpr (Product::rounds) finish(to, load_pack<run.value>(to));
      });
}

// sums += dy (turned) times windows, for one tile.
template <class Product, class Block, class T>
__device__ void add_tile(const GradientPlan& p, const PixelOffsets& offsets, const T* buffer,
                         const int (&tap_offset)[Block::taps],
                         float (&sums)[Block::row_tiles][Block::octets * Block::taps][4]) {
  const int warp = int(threadIdx.x) / 32, row_warp = warp % Block::row_warps;
  const T* rows =
      buffer + p.halo_h * p.halo_w * Block::channel_pitch + row_warp * Block::row_tiles * 16;
  for (int k = warp / Block::row_warps * Product::depth; k < p.depth;
       k += Block::pixel_warps * Product::depth) {
    typename Product::A a[Block::row_tiles];
#pragma unroll
    for (int r = 0; r < Block::row_tiles; ++r) {
      a[r].load(rows + k * Block::row_pitch + 16 * r, Block::row_pitch);
    }
    const typename Product::Rows windows(buffer, &offsets.of_pixel[k]);
#pragma unroll
    for (int column = 0; column < Block::octets * Block::taps; ++column) {
      typename Product::B b;
      b.load(windows, tap_offset[column % Block::taps] + column / Block::taps * 8);
#pragma unroll
      for (int r = 0; r < Block::row_tiles; ++r) Product::multiply(sums[r][column], a[r], b);
    }
  }
}

// Adds the sums of the warps that took other pixels to those of the first ones, in order.
template <class Block>
__device__ void add_warps(float* shared,
                          float (&sums)[Block::row_tiles][Block::octets * Block::taps][4]) {
  const int warp = int(threadIdx.x) / 32, row_warp = warp % Block::row_warps;
  const int pixel_warp = warp / Block::row_warps;
  const auto slot = [&](int other) {
    return shared + ((other - 1) * Block::row_warps + row_warp) * Block::sums * 32 +
           int(threadIdx.x) % 32;
  };
  const auto for_sums = [&](auto visit) {
#pragma unroll
    for (int i = 0; i < Block::sums; ++i) {
      visit(
          sums[i / 4 / (Block::octets * Block::taps)][i / 4 % (Block::octets * Block::taps)][i % 4],
          32 * i);
    }
  };
  if (pixel_warp > 0) for_sums([&](float& sum, int at) { slot(pixel_warp)[at] = sum; });
  __syncthreads();
  if (pixel_warp > 0) return;
  for (int other = 1; other < Block::pixel_warps; ++other) {
    for_sums([&](float& sum, int at) { sum += slot(other)[at]; });
  }
}

// All that the block at `block` has to do. Grid: x splits, y channels and taps, z sets and rows.
template <class Product, class Block, class Prologue, class T = typename Product::Element>
__device__ __forceinline__ void add_share(const GradientPlan& p, const T* x, const T* dy,
                                          float* partials, float* dweight, const Prologue& prologue,
                                          const BlockPlace& block) {
  PixelOffsets& offsets = shared_memory<PixelOffsets>();
  T* const shared = reinterpret_cast<T*>(&offsets + 1);
  const int buffer_size = p.halo_h * p.halo_w * Block::channel_pitch + p.depth * Block::row_pitch;
  const GradientShare<Block> share(p, block);
  for (int i = int(threadIdx.x); i < p.depth; i += Block::threads) {
    const int h = i / p.tile_w * p.stride_h / p.step_h, w = i % p.tile_w * p.stride_w / p.step_w;
    offsets.of_pixel[i] = i < p.tile_h * p.tile_w ? (h * p.halo_w + w) * Block::channel_pitch : 0;
  }
  using Factors = typename Prologue::template Factors<Block::channels>;
  EK_SHARED(factors, Factors);
  if constexpr (!Prologue::kIdentity) {
    const int left = p.set_in - share.channel;
    prologue.fill(factors, share.set * p.set_in + share.channel,
                  left < Block::channels ? left : Block::channels);
    __syncthreads();
  }
  int tap_offset[Block::taps];
#pragma unroll
  for (int i = 0; i < Block::taps; ++i) {
    const int tap = share.tap + i < p.taps ? share.tap + i : 0;
    tap_offset[i] = (tap / p.kernel_w * p.halo_w + tap % p.kernel_w) * Block::channel_pitch;
  }

  float sums[Block::row_tiles][Block::octets * Block::taps][4] = {};
  const std::int64_t split = block.x;
  const std::int64_t begin = p.tiles * split / p.splits, end = p.tiles * (split + 1) / p.splits;
  fetch<Block>(p, share, begin, x, dy, shared);
  for (std::int64_t tile = begin; tile < end; ++tile) {
    T* now = shared + (tile - begin) % 2 * buffer_size;
    if (tile + 1 < end) {
      fetch<Block>(p, share, tile + 1, x, dy, shared + (tile + 1 - begin) % 2 * buffer_size);
      cp_async_wait<1>();
    } else {
      cp_async_wait<0>();
    }
    finish_own<Product>(p, share, tile, prologue, factors, now);
    __syncthreads();
    add_tile<Product, Block>(p, offsets, now, tap_offset, sums);
    __syncthreads();
  }
  add_warps<Block>(reinterpret_cast<float*>(shared), sums);

  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32;
  const bool has_sums = warp < Block::row_warps;
  const SplitPartials<Block> of_split(partials, p.splits, block);
  const auto for_sums = [&](auto visit) {
#pragma unroll
    for (int i = 0; i < Block::sums; ++i) {
      visit(i, sums[i / 4 / (Block::octets * Block::taps)][i / 4 % (Block::octets * Block::taps)]
                   [i % 4]);
    }
  };
  if (p.splits == 1) {
    if (has_sums) {
      for_sums([&](int i, float sum) { share.store(p, warp, lane, i, sum, dweight); });
    }
    return;
  }
  if (has_sums) {
    float* const own = of_split.at(int(split)) + warp * Block::sums * 32 + lane;
    for_sums([&](int i, float sum) { own[i * 32] = sum; });
  }
  of_split.add_up(int(split), [&](int i, float sum) {
    share.store(p, i / 32 / Block::sums, i % 32, i / 32 % Block::sums, sum, dweight);
  });
}

template <class Product, class Block, class Prologue>
__global__ void __launch_bounds__(Block::threads)
    gradient_mma(GradientPlan p, const typename Product::Element* x,
                 const typename Product::Element* dy, float* partials, float* dweight,
                 Prologue prologue) {
  add_share<Product, Block>(p, x, dy, partials, dweight, prologue, BlockPlace::in_grid());
}

}  // namespace
}  // namespace ek::kernels::EK_TARGET
