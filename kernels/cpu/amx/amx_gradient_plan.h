#pragma once
#include <cstdint>
#include <vector>

#include "kernels/conv.h"

// How a weight gradient becomes products of tiles.
//
// The inputs that tap (kh, kw) meets are those of one phase of the stride, x[i * stride + phase],
// and with "same" padding a phase has the sides of the output. On that common grid of pixels
//
//   dweight[o, kh, kw, c] = sum over pixels (i, j) of  dy[i, j - column, o] * phase[i + row, j, c]
//
// with row and column the shifts of the tap, and zeros outside of the images. A product of tiles
// sums 32 consecutive pixels for 16 output and 16 input channels. It wants dy by channel, 32 pixels
// a row, and x in pairs of pixels, [pixel / 2][channel][2]. A tile that does not begin on a cache
// line takes six times as long to load. So dy is transposed into a copy for each column shift, and
// row shifts are offsets in x, where a pair of pixels is a cache line.
namespace ek::kernels::cpu {

struct AmxGradientPlan {
  struct Tap {
    std::int64_t number;      // kh * kernel_w + kw
    std::int64_t copy;        // of dy
    std::int64_t phase, row;  // of x
  };
  // Taps of one copy, whose sums stay in tiles together.
  struct Group {
    std::int64_t first, count;
  };

  Conv2dShape shape;
  std::int64_t pixels, width;          // of the grid
  std::int64_t pixel_blocks;           // of 32
  std::int64_t out_blocks, in_blocks;  // of 16 channels
  std::int64_t phases;
  std::vector<Tap> taps;  // by copy
  std::vector<Group> groups;
  std::vector<std::int64_t> shifts;  // column shift of each copy, 0 first
  // keep[copy * pixel_blocks + block]: bits of the pixels whose source is in their row.
  std::vector<std::uint32_t> keep;

  // What is worked on at a time stays in the first-level cache: some images, or a band of one, and
  // 16 output channels. Of x a band has `halo` more rows above and below.
  std::int64_t images_at_once, band_blocks, halo;
  std::int64_t pitch;  // elements of a channel's row in a copy

  // One group, an output whose sides are those of the input over the stride, rows of even length.
  static bool fits(const Conv2dShape& slice);
  explicit AmxGradientPlan(const Conv2dShape& slice);

  // Elements of a band: of 16 channels of a phase of x, of x, of a copy of dy, of all copies.
  std::int64_t phase_size() const { return (2 * halo * width + band_blocks * 32) * 16; }
  std::int64_t x_size() const { return in_blocks * phases * phase_size(); }
  std::int64_t copy_size() const { return 16 * pitch; }
  std::int64_t dy_size() const { return std::int64_t(shifts.size()) * copy_size(); }

 private:
  void add_taps();
  void cut_bands();
};

}  // namespace ek::kernels::cpu
