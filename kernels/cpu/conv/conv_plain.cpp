#include "kernels/cpu/conv/conv_plain.h"

#include <algorithm>
#include <type_traits>

#include "kernels/cpu/batch_slices.h"
#include "kernels/cpu/blocks.h"
#include "kernels/cpu/tile.h"
#include "kernels/math/bf16.h"

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

// Two vectors a row unless the channels fit into one.
template <class T, class F>
auto with_vectors(std::int64_t outer, F f) {
  return outer <= vector_lanes<T> ? f.template operator()<1>() : f.template operator()<2>();
}

// Of the weights in a pack, which begins with a pixel of zeros.
std::int64_t zeros_size(std::int64_t inner) {
  return block_count(inner, vector_bytes) * vector_bytes;
}

// packed[group][block of outer][tap][inner][width]: what a tile reads comes in order, and lanes
// beyond the last channel are zero. `transposed`: outer is the weights' last dimension, not first.
template <class T, int vectors, class Round>
void pack_weights(const Correlation& c, bool transposed, const T* weight, T* packed, Round round) {
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
            out[k * width + lane] = n < c.outer ? round(weight[from]) : T(0);
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

// The correlation of a pass without its axes.
Correlation correlation_of(const Conv2dShape& s, bool transposed) {
  const std::int64_t in_c = s.in_c / s.groups, out_c = s.out_c / s.groups;
  return {{},
          {},
          s.batch,
          s.groups,
          transposed ? out_c : in_c,
          transposed ? in_c : out_c,
          s.kernel_h,
          s.kernel_w};
}

}  // namespace

template <class T>
std::size_t plain_pack_bytes(const Conv2dShape& s, Conv2dPass pass) {
  const Correlation c = correlation_of(s, pass == Conv2dPass::backward_data);
  const std::int64_t width =
      with_vectors<Acc<T>>(c.outer, []<int vectors>() { return Tile<Acc<T>, vectors>::width; });
  const std::int64_t channels = block_count(c.outer, width) * width;
  const std::int64_t packed = c.groups * channels * c.kernel_h * c.kernel_w * c.inner;
  return std::size_t(zeros_size(c.inner) + packed) * sizeof(Acc<T>);
}

template <class T>
void plain_pack(const Conv2dShape& s, Conv2dPass pass, const Acc<T>* ohwi, Acc<T>* pack) {
  const bool transposed = pass == Conv2dPass::backward_data;
  const Correlation c = correlation_of(s, transposed);
  const auto round = [](Acc<T> w) {
    if constexpr (std::is_same_v<T, bf16>) return math::bf16_to_float(math::float_to_bf16(w));
    return w;
  };
  std::fill(pack, pack + zeros_size(c.inner), Acc<T>(0));
  with_vectors<Acc<T>>(c.outer, [&]<int vectors>() {
    pack_weights<Acc<T>, vectors>(c, transposed, ohwi, pack + zeros_size(c.inner), round);
  });
}

template <class T>
void plain_forward(const Conv2dShape& s, const T* x, const T* pack, T* y, bool accumulate) {
  Correlation c = correlation_of(s, false);
  c.h = forward_axis(s.in_h, s.out_h(), s.kernel_h, s.stride_h, s.pad_h);
  c.w = forward_axis(s.in_w, s.out_w(), s.kernel_w, s.stride_w, s.pad_w);
  with_vectors<T>(c.outer, [&]<int vectors>() {
    correlate<T, vectors>(c, x, pack + zeros_size(c.inner), pack, y, accumulate);
  });
}

// The phases of a strided pass run one after the other.
template <class T>
void plain_backward_data(const Conv2dShape& s, const T* dy, const T* pack, T* dx) {
  Correlation c = correlation_of(s, true);
  for (std::int64_t phase_h = 0; phase_h < s.stride_h; ++phase_h) {
    for (std::int64_t phase_w = 0; phase_w < s.stride_w; ++phase_w) {
      c.h = backward_axis(s.in_h, s.out_h(), s.kernel_h, s.stride_h, s.pad_h, phase_h);
      c.w = backward_axis(s.in_w, s.out_w(), s.kernel_w, s.stride_w, s.pad_w, phase_w);
      with_vectors<T>(c.outer, [&]<int vectors>() {
        correlate<T, vectors>(c, dy, pack + zeros_size(c.inner), pack, dx, false);
      });
    }
  }
}

template std::size_t plain_pack_bytes<float>(const Conv2dShape&, Conv2dPass);
template std::size_t plain_pack_bytes<double>(const Conv2dShape&, Conv2dPass);
template std::size_t plain_pack_bytes<bf16>(const Conv2dShape&, Conv2dPass);
template void plain_pack<float>(const Conv2dShape&, Conv2dPass, const float*, float*);
template void plain_pack<double>(const Conv2dShape&, Conv2dPass, const double*, double*);
template void plain_pack<bf16>(const Conv2dShape&, Conv2dPass, const float*, float*);
template void plain_forward(const Conv2dShape&, const float*, const float*, float*, bool);
template void plain_forward(const Conv2dShape&, const double*, const double*, double*, bool);
template void plain_backward_data(const Conv2dShape&, const float*, const float*, float*);
template void plain_backward_data(const Conv2dShape&, const double*, const double*, double*);

}  // namespace ek::kernels::cpu
