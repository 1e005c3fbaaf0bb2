#pragma once
// Tiles of the convolution with a halo: their sizes, and where a block's tile lies.
#include <algorithm>

#include "kernels/cuda/base/block_place.cuh"
#include "kernels/cuda/conv/conv_problem.cuh"

namespace ek::kernels::EK_TARGET {

constexpr int kHaloThreads = 128, kHaloWarps = kHaloThreads / 32;
constexpr int kStoredPadding = 8;  // elements between pixels of the outputs: no bank
                                   // serves two of the pairs that a warp stores
constexpr int kTileColumns = 16;   // outputs of a fragment: one row of a tile
// Of a block: what compute capability 8.0 allows, less one KiB for static shared memory. Later ones
// allow more.
constexpr std::int64_t kMostSharedBytes = 162 * 1024;

// How outputs are cut into tiles of 4 M rows x 16 columns and 16 N channels, a warp taking M rows.
// Where an image has 8 columns or less, the 16 of a tile are those of several images side by side.
// K runs in chunks of one or two k-steps of channels; two chunks are in shared memory at a time
// where that leaves room for another block, so that the next one loads meanwhile.
struct HaloPlan {
  int tile_rows, blocks;          // 4 M and N
  int active_rows;                // of those, what images have, in whole warps
  int width_log;                  // log2 of the columns of one image in a tile
  int tiles_h, tiles_w, tiles_n;  // tiles of a class
  int column_tiles;               // of a group's channels
  int steps, chunks;              // k-steps of a chunk, chunks of a source
  int pitch;                      // bytes from pixel to pixel
  int buffers, pixel_bytes, weight_bytes, table_bytes;
  std::int64_t shared_bytes;

  bool operator==(const HaloPlan&) const = default;
  __host__ __device__ std::int64_t tiles() const {
    return std::int64_t(tiles_h) * tiles_w * tiles_n;
  }
};

// What one class of outputs asks of shared memory.
struct HaloExtent {
  int rows, phase_columns, image_columns, row_pixels;

  // Columns of equal remainder modulo the stride lie side by side: neighbouring outputs then read
  // neighbouring pixels, which the banks of shared memory want.
  __host__ __device__ HaloExtent(const HaloPlan& plan, const ConvAxis& h, const ConvAxis& w) {
    rows = (plan.active_rows - 1) * h.by + h.taps;
    phase_columns = (((1 << plan.width_log) - 1) * w.by + w.taps + w.by - 1) / w.by;
    image_columns = phase_columns * w.by;
    row_pixels = (kTileColumns >> plan.width_log) * image_columns;
  }
};

inline int tiles_over(std::int64_t size, std::int64_t tile) {
  return int((size + tile - 1) / tile);
}

template <class T>
HaloPlan halo_plan(const ConvProblem& p, int sources) {
  HaloPlan plan{};
  // 32 sums a lane either way; the tile of many pixels where there are few channels.
  plan.blocks = p.pack.blocks == 1 ? 1 : 2;
  plan.tile_rows = kHaloWarps * (plan.blocks == 1 ? 4 : 2);
  const ConvAxis h = p.rows(0), w = p.columns(0);  // no class has more outputs than the first one
  const int rows_a_warp = plan.tile_rows / kHaloWarps;
  plan.active_rows = std::min(plan.tile_rows, tiles_over(h.count, rows_a_warp) * rows_a_warp);
  while (plan.width_log < 4 && (1 << plan.width_log) < w.count) ++plan.width_log;
  plan.tiles_h = tiles_over(h.count, plan.tile_rows);
  plan.tiles_w = tiles_over(w.count, 1 << plan.width_log);
  plan.tiles_n = tiles_over(p.batch, kTileColumns >> plan.width_log);
  plan.column_tiles = tiles_over(p.pack.blocks, plan.blocks);
  plan.steps = p.pack.steps > 1 ? 2 : 1;
  plan.chunks = tiles_over(p.pack.steps, plan.steps);
  plan.pitch = plan.steps * kStepBytes + 16;
  for (int of_class = 0; of_class < p.classes(); ++of_class) {
    const ConvAxis rows = p.rows(of_class), columns = p.columns(of_class);
    const HaloExtent extent(plan, rows, columns);
    const auto at_least = [](int& bytes, std::int64_t wanted) {
      bytes = int(std::max<std::int64_t>(bytes, std::min<std::int64_t>(wanted, 1 << 30)));
    };
    const std::int64_t taps = std::int64_t(rows.taps) * columns.taps;
    at_least(plan.pixel_bytes, std::int64_t(extent.rows) * extent.row_pixels * plan.pitch);
    at_least(plan.weight_bytes, plan.blocks * plan.steps * taps * kFragmentWords * 4);
    at_least(plan.table_bytes, (extent.row_pixels * 8 + 15) / 16 * 16);
  }
  const std::int64_t buffer = std::int64_t(plan.pixel_bytes) + plan.weight_bytes;
  const std::int64_t stored = std::int64_t(plan.tile_rows) * kTileColumns *
                              (plan.blocks * kBlockColumns + kStoredPadding) * sizeof(T);
  plan.buffers = plan.chunks * sources > 1 && 2 * buffer <= kMostSharedBytes / 2 ? 2 : 1;
  plan.shared_bytes = plan.buffers * buffer;
  plan.shared_bytes = std::max(plan.shared_bytes, stored) + plan.table_bytes;
  return plan;
}

// Whether the halos of all tiles cover the image, so that each of its elements has an owner
// (conv_fusion.cuh): not for a 1x1 convolution of stride 2, say, and not for the classes of
// backward data at stride 2.
inline bool covers_input(const ConvProblem& p) {
  const auto covers = [&](int in, int kernel, int stride, int pad) {
    if (p.pack.backward) return stride == 1 && pad < kernel;
    return kernel - pad >= stride && pad >= (in + 2 * pad - kernel) % stride;
  };
  return covers(p.in_h, p.kernel_h, p.stride_h, p.pad_h) &&
         covers(p.in_w, p.kernel_w, p.stride_w, p.pad_w);
}

// The first outputs of a tile.
struct TileCorner {
  int image, row, column;

  __device__ TileCorner(const HaloPlan& plan, int tile)
      : image(tile / plan.tiles_w / plan.tiles_h * (kTileColumns >> plan.width_log)),
        row(tile / plan.tiles_w % plan.tiles_h * plan.tile_rows),
        column(tile % plan.tiles_w << plan.width_log) {}

  // On to the tile so many further as `by` is the corner of, without a division.
  __device__ void advance(const HaloPlan& plan, const TileCorner& by) {
    const int width = plan.tiles_w << plan.width_log, height = plan.tiles_h * plan.tile_rows;
    column += by.column;
    row += by.row;
    image += by.image;
    if (column >= width) {
      column -= width;
      row += plan.tile_rows;
    }
    if (row >= height) {
      row -= height;
      image += kTileColumns >> plan.width_log;
    }
  }
};

// A block's place. Grid: x tiles of outputs, y groups x tiles of channels, z classes.
struct HaloPlace {
  ConvAxis h, w;
  HaloExtent extent;
  int group, first_block;                    // of 16 channels
  int first_image, first_row, first_column;  // of the outputs
  int tile_columns;                          // of one image
  bool first_of_channels;                    // of the blocks that read these pixels

  __device__ HaloPlace(const ConvProblem& p, const HaloPlan& plan, const BlockPlace& block)
      : h(p.rows(int(block.z))), w(p.columns(int(block.z))), extent(plan, h, w) {
    group = int(block.y) / plan.column_tiles;
    first_block = int(block.y) % plan.column_tiles * plan.blocks;
    first_of_channels = first_block == 0;
    tile_columns = 1 << plan.width_log;
    const TileCorner corner(plan, int(block.x));
    first_column = corner.column;
    first_row = corner.row;
    first_image = corner.image;
  }
  __device__ bool empty() const { return first_row >= h.count || first_column >= w.count; }
  __device__ int taps() const { return h.taps * w.taps; }
};

}  // namespace ek::kernels::EK_TARGET
