#pragma once
// How the tensor-core weight gradient cuts a shape; conv_weights_mma.cuh has the kernel. All of it
// follows from the shape and the size of an element, so that the bits do.
#include <algorithm>
#include <cstdint>

#include "kernels/conv.h"
#include "kernels/cuda/base/tensor_products.cuh"

namespace ek::kernels::EK_TARGET {

// What a block sums: 16 * row_tiles * row_warps output channels (rows) by 8 * octets input channels
// of `taps` taps; its other warps take other pixels.
template <int taps_, int octets_, int row_tiles_, int row_warps_>
struct GradientBlock {
  static constexpr int taps = taps_, octets = octets_, row_tiles = row_tiles_;
  static constexpr int row_warps = row_warps_, pixel_warps = 4 / row_warps_;
  static constexpr int rows = 16 * row_tiles * row_warps, channels = 8 * octets;
  static constexpr int row_pitch = product_pitch(rows), channel_pitch = product_pitch(channels);
  static constexpr int sums = row_tiles * octets * taps * 4;  // of a thread
  static constexpr int elements = sums * 32 * row_warps;      // of the block's part of the gradient
  static constexpr int threads = 128;
};

struct GradientPlan {
  int in_h, in_w, in_c, out_h, out_w, out_c, kernel_w, taps, stride_h, stride_w, pad_h, pad_w;
  int group_in, group_out;               // channels of a group
  int set_in, set_out;                   // of the groups that fill a tile together
  int tile_h, tile_w, tiles_h, tiles_w;  // of output pixels
  int halo_h, halo_w;                    // input pixels that they meet, stored every step-th
  int step_h, step_w, depth;             // depth: pixels of a tile, rounded up to whole mma
  int row_blocks, channel_blocks, tap_blocks, sets, splits;
  std::int64_t tiles, weights, shared_bytes;
  bool packed_x, packed_dy;  // 16 bytes at a time

  bool operator==(const GradientPlan&) const = default;
  int blocks_of_split() const { return row_blocks * channel_blocks * tap_blocks * sets; }
};

constexpr int kTilePixels = 64;           // at most
constexpr int kGradientBlocks = 128;      // wanted: about one a multiprocessor of a large GPU
constexpr int kSplitGroups = 8;           // in which the splits are added up: conv_weights_sum.cuh
constexpr int kComfortable = 100 * 1024;  // bytes of shared memory: two blocks a multiprocessor
constexpr int kMostShared = 162 * 1024;   // what a block of every GPU since sm_80 may have

inline int ceil_div(std::int64_t a, std::int64_t b) {
  return int((a + b - 1) / b);
}

// The largest tile, evenly cut from the image, of at most `most` rows and columns.
inline int even_part(int extent, int most) {
  return ceil_div(extent, ceil_div(extent, most));
}

template <class Product, class Block>
std::int64_t buffer_bytes(const GradientPlan& p) {
  const std::int64_t halo = std::int64_t(p.halo_h) * p.halo_w;
  return (halo * Block::channel_pitch + p.depth * Block::row_pitch) *
         std::int64_t(sizeof(typename Product::Element));
}

template <class Product, class Block>
void cut_tiles(GradientPlan& p, int kernel_h, int most_h, int most_w) {
  p.tile_w = even_part(p.out_w, most_w);
  p.tile_h = even_part(p.out_h, most_h);
  p.tiles_h = ceil_div(p.out_h, p.tile_h);
  p.tiles_w = ceil_div(p.out_w, p.tile_w);
  p.halo_h = (p.tile_h - 1) * p.stride_h / p.step_h + kernel_h;
  p.halo_w = (p.tile_w - 1) * p.stride_w / p.step_w + p.kernel_w;
  p.depth = ceil_div(p.tile_h * p.tile_w, Product::depth) * Product::depth;
  constexpr std::int64_t front = kTilePixels * sizeof(int);
  constexpr std::int64_t last = (Block::pixel_warps - 1) * Block::row_warps * Block::sums * 32 * 4;
  p.shared_bytes = front + std::max(2 * buffer_bytes<Product, Block>(p), last);
}

// A 1x1 convolution that skips nothing sees the batch as one row of pixels.
inline Conv2dShape flattened(Conv2dShape s) {
  if (s.kernel_h != 1 || s.kernel_w != 1 || s.stride_h != 1 || s.stride_w != 1 || s.pad_h != 0 ||
      s.pad_w != 0) {
    return s;
  }
  s.in_w *= s.batch * s.in_h;
  s.batch = s.in_h = 1;
  return s;
}

// Groups of fewer channels than a fragment of an mma are taken together, and what joins two of
// them is not stored.
inline std::int64_t groups_of_set(const Conv2dShape& s) {
  const std::int64_t in = s.in_c / s.groups, out = s.out_c / s.groups;
  for (std::int64_t d = 1; d < s.groups; ++d) {
    if (s.groups % d == 0 && d * out >= 16 && d * in >= 8) return d;
  }
  return s.groups;
}

// Sizes that fit into int, with what follows from them.
inline bool fits_gradient_plan(const Conv2dShape& s) {
  constexpr std::int64_t most = 1 << 30;
  return s.batch * (s.in_h + 2 * s.pad_h) * (s.in_w + 2 * s.pad_w) < most && s.in_c < most &&
         s.out_c < most && s.weight_size() < most && s.output_size() > 0;
}

template <class Product, class Block>
GradientPlan gradient_plan(const Conv2dShape& of) {
  const Conv2dShape s = flattened(of);
  const std::int64_t together = groups_of_set(s);
  GradientPlan p{};
  p.in_h = int(s.in_h);
  p.in_w = int(s.in_w);
  p.in_c = int(s.in_c);
  p.out_h = int(s.out_h());
  p.out_w = int(s.out_w());
  p.out_c = int(s.out_c);
  p.kernel_w = int(s.kernel_w);
  p.taps = int(s.kernel_h * s.kernel_w);
  p.stride_h = int(s.stride_h);
  p.stride_w = int(s.stride_w);
  p.pad_h = int(s.pad_h);
  p.pad_w = int(s.pad_w);
  p.step_h = s.kernel_h == 1 ? p.stride_h : 1;
  p.step_w = s.kernel_w == 1 ? p.stride_w : 1;
  p.group_in = int(s.in_c / s.groups);
  p.group_out = int(s.out_c / s.groups);
  p.set_in = p.group_in * int(together);
  p.set_out = p.group_out * int(together);
  int most_w = p.out_h == 1 ? kTilePixels : kTilePixels / 2;
  int most_h = std::max(1, kTilePixels / even_part(p.out_w, most_w));
  cut_tiles<Product, Block>(p, int(s.kernel_h), most_h, most_w);
  while (p.shared_bytes > kComfortable && p.tile_h * p.tile_w > 1) {
    (p.tile_h > 1 ? most_h : most_w) = (p.tile_h > 1 ? p.tile_h : p.tile_w) / 2;
    cut_tiles<Product, Block>(p, int(s.kernel_h), most_h, most_w);
  }
  p.row_blocks = ceil_div(p.set_out, Block::rows);
  p.channel_blocks = ceil_div(p.set_in, Block::channels);
  p.tap_blocks = ceil_div(p.taps, Block::taps);
  p.sets = int(s.groups / together);
  p.tiles = s.batch * p.tiles_h * p.tiles_w;
  p.weights = s.weight_size();
  const std::int64_t wanted = std::max(1, kGradientBlocks / p.blocks_of_split());
  p.splits = int(std::min(wanted, p.tiles));
  constexpr int run = 16 / int(sizeof(typename Product::Element));
  p.packed_x = p.in_c % run == 0 && p.set_in % run == 0;
  p.packed_dy = p.out_c % run == 0 && p.set_out % run == 0;
  return p;
}

}  // namespace ek::kernels::EK_TARGET
