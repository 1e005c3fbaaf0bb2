#include "kernels/cpu/conv_plain.h"

#include <algorithm>

#include "kernels/cpu/batch_slices.h"
#include "kernels/cpu/blocks.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/tile.h"

namespace ek::kernels::cpu {
namespace {

// One spatial axis of a correlation  dst[offset + i * step] = sum over taps t of src[...]:
// grid point i meets the taps first, first + step, ... (`taps` of them), and tap number t reads
// src at i * src_step + src_offset + t * src_delta, which is zero outside [0, src_extent).
struct Axis {
  std::int64_t grid, dst_extent, dst_offset, dst_step;
  std::int64_t src_extent, src_step, src_offset, src_delta;
  std::int64_t first_tap, tap_step, taps;
};

Axis forward_axis(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                  std::int64_t pad) {
  Axis axis{};
  axis.grid = axis.dst_extent = out;
  axis.dst_step = 1;
  axis.src_extent = in;
  axis.src_step = stride;
  axis.src_offset = -pad;
  axis.src_delta = axis.tap_step = 1;
  axis.taps = kernel;
  return axis;
}

// Input position i + pad = o * stride + t meets only taps t congruent to (i + pad) mod stride. So
// the inputs of one phase, i = phase + stride * j, see a plain correlation of stride 1 with every
// stride-th tap, and no work is spent on the zeros of a dilated dy.
Axis backward_axis(std::int64_t in, std::int64_t out, std::int64_t kernel, std::int64_t stride,
                   std::int64_t pad, std::int64_t phase) {
  const std::int64_t first = (phase + pad) % stride;
  Axis axis{};
  axis.grid = block_count(std::max<std::int64_t>(in - phase, 0), stride);
  axis.dst_extent = in;
  axis.dst_offset = phase;
  axis.dst_step = stride;
  axis.src_extent = out;
  axis.src_step = 1;
  axis.src_offset = (phase + pad - first) / stride;
  axis.src_delta = -1;
  axis.first_tap = first;
  axis.tap_step = stride;
  axis.taps = block_count(std::max<std::int64_t>(kernel - first, 0), stride);
  return axis;
}

// Per group, src has `inner` channels (contracted) and dst `outer` channels (produced).
struct Correlation {
  Axis h, w;
  std::int64_t batch, groups, inner, outer, kernel_h, kernel_w;
};

template <class T>
std::int64_t packed_size(std::int64_t groups, std::int64_t outer, std::int64_t taps,
                         std::int64_t inner) {
  return groups * block_count(outer, vector_lanes<T>) * vector_lanes<T> * taps * inner +
         vector_lanes<T> * groups * taps * inner;
}

// packed[group][block of outer][tap][inner][width]: what a tile reads comes in order, and lanes
// beyond the last channel are zero. `transposed`: outer is the weights' last dimension, not first.
template <class T, int vectors>
void pack_weights(const Correlation& c, bool transposed, const T* weight, T* packed) {
  constexpr std::int64_t width = Tile<T, vectors>::width;
  const std::int64_t taps = c.kernel_h * c.kernel_w, outer_blocks = block_count(c.outer, width);
#pragma omp parallel for collapse(3) schedule(static)
  for (std::int64_t g = 0; g < c.groups; ++g) {
    for (std::int64_t block = 0; block < outer_blocks; ++block) {
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        T* out = packed + ((g * outer_blocks + block) * taps + tap) * c.inner * width;
        for (std::int64_t k = 0; k < c.inner; ++k) {
          for (std::int64_t lane = 0; lane < width; ++lane) {
            const std::int64_t n = block * width + lane;
            const std::int64_t from = transposed ? ((g * c.inner + k) * taps + tap) * c.outer + n
                                                 : ((g * c.outer + n) * taps + tap) * c.inner + k;
            out[k * width + lane] = n < c.outer ? weight[from] : T(0);
          }
        }
      }
    }
  }
}

// The pixels of one tile: the source coordinates that tap 0 reads, and where the sums go.
template <class T>
struct TilePixels {
  std::int64_t count;
  std::int64_t row[tile_rows], column[tile_rows];
  const T* image[tile_rows];
  T* out[tile_rows];

  TilePixels(const Correlation& c, std::int64_t begin, std::int64_t pixels, const T* src, T* dst) {
    const std::int64_t src_channels = c.groups * c.inner, dst_channels = c.groups * c.outer;
    count = std::min<std::int64_t>(tile_rows, pixels - begin);
    for (int r = 0; r < tile_rows; ++r) {
      // Rows beyond the last pixel repeat it; their sums are not stored.
      const std::int64_t pixel = begin + std::min<std::int64_t>(r, count - 1);
      const std::int64_t i = pixel / c.w.grid % c.h.grid, j = pixel % c.w.grid;
      const std::int64_t n = pixel / c.w.grid / c.h.grid;
      row[r] = i * c.h.src_step + c.h.src_offset;
      column[r] = j * c.w.src_step + c.w.src_offset;
      image[r] = src + n * c.h.src_extent * c.w.src_extent * src_channels;
      out[r] = dst + ((n * c.h.dst_extent + c.h.dst_offset + i * c.h.dst_step) * c.w.dst_extent +
                      c.w.dst_offset + j * c.w.dst_step) *
                         dst_channels;
    }
  }

  // Where each row of the tile reads for one tap; `zeros` outside of the image.
  void sources(const Correlation& c, std::int64_t down, std::int64_t right, std::int64_t channel,
               const T* zeros, const T** from) const {
    for (int r = 0; r < tile_rows; ++r) {
      const std::int64_t y = row[r] + down, x = column[r] + right;
      const bool inside = y >= 0 && y < c.h.src_extent && x >= 0 && x < c.w.src_extent;
      from[r] = inside ? image[r] + (y * c.w.src_extent + x) * c.groups * c.inner + channel : zeros;
    }
  }
};

template <class T, int vectors>
void correlate(const Correlation& c, const T* src, const T* packed, const T* zeros, T* dst,
               bool accumulate) {
  constexpr std::int64_t width = Tile<T, vectors>::width;
  const std::int64_t pixels = c.batch * c.h.grid * c.w.grid;
  const std::int64_t kernel = c.kernel_h * c.kernel_w, outer_blocks = block_count(c.outer, width);
#pragma omp parallel for schedule(static)
  for (std::int64_t begin = 0; begin < pixels; begin += tile_rows) {
    const TilePixels<T> tile_pixels(c, begin, pixels, src, dst);
    for (std::int64_t g = 0; g < c.groups; ++g) {
      for (std::int64_t block = 0; block < outer_blocks; ++block) {
        Tile<T, vectors> tile;
        const T* weights = packed + (g * outer_blocks + block) * kernel * c.inner * width;
        for (std::int64_t th = 0; th < c.h.taps; ++th) {
          for (std::int64_t tw = 0; tw < c.w.taps; ++tw) {
            const T* from[tile_rows];
            tile_pixels.sources(c, th * c.h.src_delta, tw * c.w.src_delta, g * c.inner, zeros,
                                from);
            const std::int64_t tap = (c.h.first_tap + th * c.h.tap_step) * c.kernel_w +
                                     c.w.first_tap + tw * c.w.tap_step;
            tile.multiply_add(from, 1, weights + tap * c.inner * width, width, c.inner);
          }
        }
        const std::int64_t channel = block * width;
        for (int r = 0; r < tile_pixels.count; ++r) {
          tile.store(r, tile_pixels.out[r] + g * c.outer + channel,
                     std::min(width, c.outer - channel), accumulate);
        }
      }
    }
  }
}

// Phases of a strided backward pass run one after the other; a forward pass is one phase.
template <class T, int vectors, class AxisH, class AxisW>
void run_phases(Correlation c, std::int64_t phases_h, std::int64_t phases_w, AxisH axis_h,
                AxisW axis_w, bool transposed, const T* src, const T* weight, T* dst,
                bool accumulate, Scratch scratch) {
  T* zeros = scratch.take<T>(c.inner);
  T* packed = scratch.take<T>(packed_size<T>(c.groups, c.outer, c.kernel_h * c.kernel_w, c.inner));
  std::fill(zeros, zeros + c.inner, T(0));
  pack_weights<T, vectors>(c, transposed, weight, packed);
  for (std::int64_t ph = 0; ph < phases_h; ++ph) {
    for (std::int64_t pw = 0; pw < phases_w; ++pw) {
      c.h = axis_h(ph);
      c.w = axis_w(pw);
      correlate<T, vectors>(c, src, packed, zeros, dst, accumulate);
    }
  }
}

// Two vectors a row unless the channels fit into one.
template <class T, class... Args>
void run(const Correlation& c, Args... args) {
  if (c.outer <= vector_lanes<T>) {
    run_phases<T, 1>(c, args...);
  } else {
    run_phases<T, 2>(c, args...);
  }
}

}  // namespace

template <class T>
std::size_t plain_workspace_bytes(const Conv2dShape& s, Conv2dPass pass) {
  const std::int64_t in_c = s.in_c / s.groups, out_c = s.out_c / s.groups;
  const std::int64_t kernel = s.kernel_h * s.kernel_w;
  switch (pass) {
    case Conv2dPass::forward:
    case Conv2dPass::tangent:
      return padded_bytes<T>(in_c) + padded_bytes<T>(packed_size<T>(s.groups, out_c, kernel, in_c));
    case Conv2dPass::backward_data:
      return padded_bytes<T>(out_c) +
             padded_bytes<T>(packed_size<T>(s.groups, in_c, kernel, out_c));
    case Conv2dPass::backward_weights:
      return padded_bytes<T>(gradient_slices(s.batch).count * s.weight_size());
  }
  return 0;
}

template <class T>
void plain_forward(const Conv2dShape& s, const T* x, const T* weight, T* y, bool accumulate,
                   Workspace workspace) {
  const Correlation c{
      {}, {}, s.batch, s.groups, s.in_c / s.groups, s.out_c / s.groups, s.kernel_h, s.kernel_w};
  const auto axis_h = [&](std::int64_t) {
    return forward_axis(s.in_h, s.out_h(), s.kernel_h, s.stride_h, s.pad_h);
  };
  const auto axis_w = [&](std::int64_t) {
    return forward_axis(s.in_w, s.out_w(), s.kernel_w, s.stride_w, s.pad_w);
  };
  run<T>(c, 1, 1, axis_h, axis_w, false, x, weight, y, accumulate,
         Scratch(workspace, "conv2d_forward"));
}

template <class T>
void plain_backward_data(const Conv2dShape& s, const T* dy, const T* weight, T* dx,
                         Workspace workspace) {
  const Correlation c{
      {}, {}, s.batch, s.groups, s.out_c / s.groups, s.in_c / s.groups, s.kernel_h, s.kernel_w};
  const auto axis_h = [&](std::int64_t phase) {
    return backward_axis(s.in_h, s.out_h(), s.kernel_h, s.stride_h, s.pad_h, phase);
  };
  const auto axis_w = [&](std::int64_t phase) {
    return backward_axis(s.in_w, s.out_w(), s.kernel_w, s.stride_w, s.pad_w, phase);
  };
  run<T>(c, s.stride_h, s.stride_w, axis_h, axis_w, true, dy, weight, dx, false,
         Scratch(workspace, "conv2d_backward_data"));
}

template std::size_t plain_workspace_bytes<float>(const Conv2dShape&, Conv2dPass);
template std::size_t plain_workspace_bytes<double>(const Conv2dShape&, Conv2dPass);
template void plain_forward(const Conv2dShape&, const float*, const float*, float*, bool,
                            Workspace);
template void plain_forward(const Conv2dShape&, const double*, const double*, double*, bool,
                            Workspace);
template void plain_backward_data(const Conv2dShape&, const float*, const float*, float*,
                                  Workspace);
template void plain_backward_data(const Conv2dShape&, const double*, const double*, double*,
                                  Workspace);
}  // namespace ek::kernels::cpu
