#pragma once
// The shapes that a ResNet for small images repeats, as constants: 3 x 3 taps at stride 1, C
// channels in and out, square images of `Size` pixels a side. Where sizes are constants, an index
// costs a multiplication or nothing, and what a block has to do is one straight line.
#include "kernels/cuda/conv/conv_halo_plan.cuh"

namespace ek::kernels::EK_TARGET {

// A block's outputs and the pixels under them: warps_h by warps_c warps of m rows of 16 pixels and
// n blocks of 16 channels. All of K is in shared memory at once. Of 64 channels of bf16 a block of
// eight warps has all outputs, so that no pixel is normalised twice.
template <class Atom, int Size, int C>
struct LeanTile {
  using T = typename Atom::Element;
  static constexpr bool wide = C == 64 && sizeof(T) == 2;
  static constexpr int warps_h = wide ? 2 : 4, warps_c = wide ? 4 : 1;
  static constexpr int m = C == 16 ? 4 : 2, n = C == 16 || wide ? 1 : 2;
  static constexpr int threads = 32 * warps_h * warps_c;
  static constexpr int rows = warps_h * m, columns = Size < kTileColumns ? Size : kTileColumns;
  static constexpr int images = kTileColumns / columns, pixels = rows * kTileColumns;
  static constexpr int tiles_h = Size / rows, tiles_w = Size / columns;
  static constexpr int warp_channels = n * kBlockColumns;  // of outputs
  static constexpr int channels = warps_c * warp_channels, column_tiles = C / channels;
  static constexpr int halo_rows = rows + 2, image_columns = columns + 2;
  static constexpr int row_pixels = images * image_columns, halo = halo_rows * row_pixels;
  static constexpr int steps = C / kStepChannels<T>, pitch = C * int(sizeof(T)) + 16;
  static constexpr int row_bytes = row_pixels * pitch, pixel_bytes = halo_rows * row_bytes;
  static constexpr int warp_words = n * steps * 9 * kFragmentWords;
  static constexpr int weight_words = warps_c * warp_words;
  // The thread's pieces of the halo: all of one place within a pixel.
  static constexpr int pieces = C / kPieceChannels<T>, apart = threads / pieces;
  static constexpr int own = (halo + apart - 1) / apart;
  static_assert(Size % rows == 0 && Size % columns == 0 && C % channels == 0);
  static_assert(threads % pieces == 0);

  // The first element of the tile's first output pixel, channel 0, and how far it lies from the
  // image's borders.
  int h0, w0;
  std::int64_t origin;

  __device__ explicit LeanTile(unsigned tile) {
    h0 = int(tile / tiles_w % tiles_h) * rows;
    w0 = int(tile % tiles_w) * columns;
    const std::int64_t image = std::int64_t(tile / (tiles_w * tiles_h)) * images;
    origin = ((image * Size + h0) * Size + w0) * C;
  }

  static std::int64_t tiles(std::int64_t batch) { return batch / images * tiles_h * tiles_w; }

  // Where the i-th of the thread's pieces lies.
  struct Place {
    int pixel;                    // of the halo
    int at;                       // elements from `origin`
    bool in_halo, inside, owned;  // inside the image; an output's own pixel
  };
  __device__ Place place(int i) const {
    const int pixel = int(threadIdx.x) / pieces + i * apart;
    const int row = pixel / row_pixels - 1, of_row = pixel % row_pixels;
    const int image = of_row / image_columns, column = of_row % image_columns - 1;
    const bool in_halo = (i + 1) * apart <= halo || pixel < halo;
    const bool inside =
        in_halo && unsigned(h0 + row) < unsigned(Size) && unsigned(w0 + column) < unsigned(Size);
    return {pixel, ((image * Size + row) * Size + column) * C + channel(), in_halo, inside,
            inside && unsigned(row) < unsigned(rows) && unsigned(column) < unsigned(columns)};
  }
  // The first channel of the thread's pieces.
  __device__ static int channel() { return int(threadIdx.x) % pieces * kPieceChannels<T>; }
};

template <int Size, int C>
struct LeanShape {
  static constexpr int size = Size, channels = C;
};

// run.operator()<LeanShape>() for the one that a shape is; false where it is none.
template <class Run>
bool with_lean_shape(const Conv2dShape& s, const Run& run) {
  const auto is = [&](std::int64_t size, std::int64_t channels) {
    return s.in_h == size && s.in_w == size && s.in_c == channels && s.out_c == channels;
  };
  const bool same = s.kernel_h == 3 && s.kernel_w == 3 && s.stride_h == 1 && s.stride_w == 1 &&
                    s.pad_h == 1 && s.pad_w == 1 && s.groups == 1;
  if (!same || s.batch <= 0 || s.batch >= 1 << 20) return false;
  if (is(32, 16)) return run.template operator()<LeanShape<32, 16>>(), true;
  if (is(16, 32)) return run.template operator()<LeanShape<16, 32>>(), true;
  // A tile of 8 columns is of two images.
  if (is(8, 64) && s.batch % 2 == 0) return run.template operator()<LeanShape<8, 64>>(), true;
  return false;
}

struct AnyLeanShape {
  template <class Shape>
  void operator()() const {}
};
inline bool is_lean_shape(const Conv2dShape& s) {
  return with_lean_shape(s, AnyLeanShape());
}

}  // namespace ek::kernels::EK_TARGET
