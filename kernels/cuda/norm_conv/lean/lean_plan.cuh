#pragma once
// The plans of conv_norm_joined.cuh for the shapes of lean_tile.cuh, as numbers that the compiler
// knows. What halo_plan and gradient_plan find for a shape at run time must be the same: a launch
// compares them (is_lean), so that neither can change without the other.
#include "kernels/cuda/norm_conv/conv_norm_joined_plan.cuh"
#include "kernels/cuda/norm_conv/lean/lean_tile.cuh"

namespace ek::kernels::EK_TARGET {

// Of backward data with images aligned to 16 bytes.
template <class T, class Shape>
__host__ __device__ __forceinline__ ConvProblem lean_problem(int batch) {
  constexpr int size = Shape::size, channels = Shape::channels;
  ConvProblem p{};
  p.batch = batch;
  p.in_h = p.in_w = p.out_h = p.out_w = size;
  p.in_c = p.out_c = channels;
  p.kernel_h = p.kernel_w = 3;
  p.stride_h = p.stride_w = p.pad_h = p.pad_w = 1;
  p.pack.groups = p.pack.merged = 1;
  p.pack.in_c = p.pack.out_c = p.pack.part_in = p.pack.part_out = channels;
  p.pack.blocks = channels / kBlockColumns;
  p.pack.steps = channels / kStepChannels<T>;
  p.pack.taps = 9;
  p.pack.backward = true;
  p.in_vectors = p.out_vectors = true;
  return p;
}

template <class T, class Shape>
__host__ __device__ __forceinline__ HaloPlan lean_halo(int batch) {
  constexpr int size = Shape::size, channels = Shape::channels;
  constexpr int columns = size < kTileColumns ? size : kTileColumns,
                images = kTileColumns / columns;
  constexpr int steps = channels / kStepChannels<T>;
  HaloPlan plan{};
  plan.blocks = channels == 16 ? 1 : 2;
  plan.tile_rows = plan.active_rows = channels == 16 ? 16 : 8;
  plan.width_log = columns == 16 ? 4 : 3;
  plan.tiles_h = size / plan.tile_rows;
  plan.tiles_w = size / columns;
  plan.tiles_n = batch / images;
  plan.column_tiles = channels / kBlockColumns / plan.blocks;
  plan.steps = steps > 1 ? 2 : 1;
  plan.chunks = steps / plan.steps;
  plan.pitch = plan.steps * kStepBytes + 16;
  const int row_pixels = images * (columns + 2);
  plan.pixel_bytes = (plan.tile_rows + 2) * row_pixels * plan.pitch;
  plan.weight_bytes = plan.blocks * plan.steps * 9 * kFragmentWords * 4;
  plan.table_bytes = (row_pixels * 8 + 15) / 16 * 16;
  plan.buffers = plan.chunks > 1 ? 2 : 1;
  const int loaded = plan.buffers * (plan.pixel_bytes + plan.weight_bytes);
  const int stored = plan.tile_rows * kTileColumns *
                     (plan.blocks * kBlockColumns + kStoredPadding) * int(sizeof(T));
  plan.shared_bytes = (loaded > stored ? loaded : stored) + plan.table_bytes;
  return plan;
}

// But for shared_bytes, which follows from the rest and concerns the launch alone.
template <class Block, class Shape>
__host__ __device__ __forceinline__ GradientPlan lean_gradient(int batch) {
  constexpr int size = Shape::size, channels = Shape::channels;
  GradientPlan p{};
  p.in_h = p.in_w = p.out_h = p.out_w = size;
  p.in_c = p.out_c = p.group_in = p.group_out = p.set_in = p.set_out = channels;
  p.kernel_w = 3;
  p.taps = 9;
  p.stride_h = p.stride_w = p.pad_h = p.pad_w = p.step_h = p.step_w = 1;
  p.tile_w = size;
  p.tile_h = kTilePixels / size;
  p.tiles_h = size / p.tile_h;
  p.tiles_w = 1;
  p.halo_h = p.tile_h + 2;
  p.halo_w = p.tile_w + 2;
  p.depth = kTilePixels;
  p.row_blocks = channels / Block::rows;
  p.channel_blocks = channels / Block::channels;
  p.tap_blocks = p.sets = 1;
  p.tiles = std::int64_t(batch) * p.tiles_h;
  p.weights = 9 * channels * channels;
  const int wanted = kGradientBlocks / (p.row_blocks * p.channel_blocks);
  p.splits = p.tiles < wanted ? int(p.tiles) : wanted;
  p.packed_x = p.packed_dy = true;
  return p;
}

// Whether the three plans of a call are those above.
template <class Block, class Shape, class T>
bool is_lean(const ConvProblem& problem, const HaloPlan& plan, const GradientPlan& gradient) {
  GradientPlan p = lean_gradient<Block, Shape>(problem.batch);
  p.shared_bytes = gradient.shared_bytes;
  return problem == lean_problem<T, Shape>(problem.batch) &&
         plan == lean_halo<T, Shape>(problem.batch) && gradient == p;
}

}  // namespace ek::kernels::EK_TARGET
