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
#include "kernels/cuda/conv_weights/conv_weights_load.cuh"
#include "kernels/cuda/conv_weights/conv_weights_sum.cuh"

namespace ek::kernels::EK_TARGET {
namespace {

struct PixelOffsets {
  alignas(16) SharedArray<int, kTilePixels> of_pixel;  // of an output pixel's window in the halo
};

// sums += dy (turned) times windows, for one tile, where `taps` of the block's exist. Split
// products have sums of their own for every step: with all of the taps in one block of instructions
// the compiler would have so many on their way that it spills, so there is a branch before every
// third tap, which leaves out those that do not exist.
template <class Product, class Block, class T>
__device__ void add_tile(const GradientPlan& p, const PixelOffsets& offsets, const T* buffer,
                         int taps, const int (&tap_offset)[Block::taps],
                         float (&sums)[Block::row_tiles][Block::octets * Block::taps][4]) {
  constexpr int columns = Block::octets * Block::taps;
  constexpr bool apart = std::is_same_v<Product, SplitProduct> && Block::taps % 3 == 0;
  constexpr int group = apart ? 3 : columns;
  const int warp = int(threadIdx.x) / 32, row_warp = warp % Block::row_warps;
  const T* rows = rows_in<Block>(p, buffer) + row_warp * Block::row_tiles * 16;
  for (int k = warp / Block::row_warps * Product::depth; k < p.depth;
       k += Block::pixel_warps * Product::depth) {
    typename Product::A a[Block::row_tiles];
#pragma unroll
    for (int r = 0; r < Block::row_tiles; ++r) {
      a[r].load(rows + k * Block::row_pitch + 16 * r, Block::row_pitch);
    }
    const typename Product::Rows windows(buffer, &offsets.of_pixel[k]);
#pragma unroll
    for (int first = 0; first < columns; first += group) {
      if (group < columns && first % Block::taps >= taps) continue;
#pragma unroll
      for (int column = first; column < first + group; ++column) {
        typename Product::B b;
        b.load(windows, tap_offset[column % Block::taps] + column / Block::taps * 8);
#pragma unroll
        for (int r = 0; r < Block::row_tiles; ++r) Product::multiply(sums[r][column], a[r], b);
      }
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
template <class Product, class Block, class Prologue, class RowPrologue,
          class T = typename Product::Element>
__device__ __forceinline__ void add_share(const GradientPlan& p, const T* x, const T* dy,
                                          float* partials, float* dweight, const Prologue& prologue,
                                          const RowPrologue& row_prologue,
                                          const BlockPlace& block) {
  PixelOffsets& offsets = shared_memory<PixelOffsets>();
  T* const shared = reinterpret_cast<T*>(&offsets + 1);
  const int buffer_size = int(rows_in<Block>(p, shared) - shared) +
                          row_elements<Block>(p) * (RowPrologue::kIdentity ? 1 : 2);
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
  }
  using RowFactors = typename RowPrologue::template Factors<Block::rows>;
  EK_SHARED(row_factors, RowFactors);
  if constexpr (!RowPrologue::kIdentity) {
    const int left = p.set_out - share.row;
    row_prologue.fill(row_factors, share.set * p.set_out + share.row,
                      left < Block::rows ? left : Block::rows);
  }
  if constexpr (!Prologue::kIdentity || !RowPrologue::kIdentity) __syncthreads();
  int tap_offset[Block::taps];
#pragma unroll
  for (int i = 0; i < Block::taps; ++i) {
    const int tap = share.tap + i < p.taps ? share.tap + i : 0;
    tap_offset[i] = (tap / p.kernel_w * p.halo_w + tap % p.kernel_w) * Block::channel_pitch;
  }

  float sums[Block::row_tiles][Block::octets * Block::taps][4] = {};
  const std::int64_t split = block.x;
  const std::int64_t begin = p.tiles * split / p.splits, end = p.tiles * (split + 1) / p.splits;
  fetch<Block>(p, share, begin, x, dy, row_prologue, shared);
  for (std::int64_t tile = begin; tile < end; ++tile) {
    T* now = shared + (tile - begin) % 2 * buffer_size;
    if (tile + 1 < end) {
      fetch<Block>(p, share, tile + 1, x, dy, row_prologue,
                   shared + (tile + 1 - begin) % 2 * buffer_size);
      cp_async_wait<1>();
    } else {
      cp_async_wait<0>();
    }
    finish_own<Product>(p, share, tile, prologue, factors, row_prologue, row_factors, now);
    __syncthreads();
    add_tile<Product, Block>(p, offsets, now, p.taps - share.tap, tap_offset, sums);
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

// The grid has about one block a multiprocessor, so three at most are resident; told so, the
// compiler does not spill to make room for a fourth.
template <class Product, class Block, class Prologue>
__global__ void __launch_bounds__(Block::threads, 3)
    gradient_mma(GradientPlan p, const typename Product::Element* x,
                 const typename Product::Element* dy, float* partials, float* dweight,
                 Prologue prologue) {
  add_share<Product, Block>(p, x, dy, partials, dweight, prologue, NoRowPrologue(),
                            BlockPlace::in_grid());
}

}  // namespace
}  // namespace ek::kernels::EK_TARGET
