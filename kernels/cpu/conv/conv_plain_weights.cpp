// The weight gradient of the plain convolution.

#include <algorithm>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/conv/conv_plain.h"
#include "kernels/cpu/tile.h"

namespace ek::kernels::cpu {
namespace {

// Output columns [begin, end) whose tap `tap` falls into the image.
struct Range {
  std::int64_t begin, end;
};
Range valid_outputs(std::int64_t in, std::int64_t out, std::int64_t stride, std::int64_t pad,
                    std::int64_t tap) {
  const std::int64_t begin = block_count(std::max<std::int64_t>(pad - tap, 0), stride);
  const std::int64_t last = in - 1 + pad - tap;
  return {begin, last < 0 ? begin : std::max(begin, std::min(out, last / stride + 1))};
}

// gradient += that of one image. A tile holds tile_rows output channels by `width` input channels
// of one tap, summed over the image's pixels in order; both images stay in the second-level cache.
template <class T, int vectors>
void add_image_gradient(const Conv2dShape& s, const T* x, const T* dy, T* gradient) {
  using Sums = Tile<T, vectors>;
  constexpr std::int64_t strip = 64;
  const std::int64_t in_c = s.in_c / s.groups, out_c = s.out_c / s.groups;
  const std::int64_t kernel = s.kernel_h * s.kernel_w, x_step = s.stride_w * s.in_c;
  T padded[strip * Sums::width] = {};
  const auto add_tile = [&](std::int64_t tap, std::int64_t g, std::int64_t o, std::int64_t i) {
    const std::int64_t kh = tap / s.kernel_w, kw = tap % s.kernel_w;
    const Range rows = valid_outputs(s.in_h, s.out_h(), s.stride_h, s.pad_h, kh);
    const Range columns = valid_outputs(s.in_w, s.out_w(), s.stride_w, s.pad_w, kw);
    const std::int64_t o_count = std::min<std::int64_t>(tile_rows, out_c - o);
    const std::int64_t i_count = std::min(Sums::width, in_c - i);
    Sums sums;
    for (std::int64_t oh = rows.begin; oh < rows.end; ++oh) {
      const std::int64_t ih = oh * s.stride_h + kh - s.pad_h;
      for (std::int64_t ow = columns.begin; ow < columns.end; ow += strip) {
        const std::int64_t count = std::min(strip, columns.end - ow);
        const T* dy_row = dy + (oh * s.out_w() + ow) * s.out_c + g * out_c + o;
        const T* x_row = x + (ih * s.in_w + ow * s.stride_w + kw - s.pad_w) * s.in_c + g * in_c + i;
        const T* dy_channel[tile_rows];
        for (int r = 0; r < tile_rows; ++r) {
          dy_channel[r] = dy_row + std::min<std::int64_t>(r, o_count - 1);
        }
        if (i_count == Sums::width) {
          sums.multiply_add(dy_channel, s.out_c, x_row, x_step, count);
        } else {  // whole vectors would read past the channels, at last past x itself
          for (std::int64_t p = 0; p < count; ++p) {
            for (std::int64_t c = 0; c < i_count; ++c) {
              padded[p * Sums::width + c] = x_row[p * x_step + c];
            }
            for (std::int64_t c = i_count; c < Sums::width; ++c) padded[p * Sums::width + c] = 0;
          }
          sums.multiply_add(dy_channel, s.out_c, padded, Sums::width, count);
        }
      }
    }
    for (int r = 0; r < o_count; ++r) {
      sums.store(r, gradient + ((g * out_c + o + r) * kernel + tap) * in_c + i, i_count, true);
    }
  };
  for (std::int64_t g = 0; g < s.groups; ++g) {
    for (std::int64_t tap = 0; tap < kernel; ++tap) {
      for (std::int64_t o = 0; o < out_c; o += tile_rows) {
        for (std::int64_t i = 0; i < in_c; i += Sums::width) add_tile(tap, g, o, i);
      }
    }
  }
}

}  // namespace

template <class T>
void plain_gradient(const Conv2dShape& s, const T* x, const T* dy, T* gradient) {
  const std::int64_t x_image = s.input_size() / s.batch, dy_image = s.output_size() / s.batch;
  const auto add_image =
      s.in_c / s.groups <= vector_lanes<T> ? add_image_gradient<T, 1> : add_image_gradient<T, 2>;
  std::fill(gradient, gradient + s.weight_size(), T(0));
  for (std::int64_t n = 0; n < s.batch; ++n) {
    add_image(s, x + n * x_image, dy + n * dy_image, gradient);
  }
}

template void plain_gradient(const Conv2dShape&, const float*, const float*, float*);
template void plain_gradient(const Conv2dShape&, const double*, const double*, double*);

}  // namespace ek::kernels::cpu
