#pragma once
// What can ride on the convolution of conv_halo.cuh: a prologue on what it reads, an epilogue on
// what it writes. Both are small values that are passed to the kernel.
#include "kernels/cuda/conv/conv_halo_plan.cuh"
#include "kernels/cuda/conv/conv_pieces.cuh"

namespace ek::kernels::EK_TARGET {

// A prologue replaces what was loaded of a source by what is to be convolved:
//
//   template <int N>                                       what it needs of N neighbouring channels
//   __device__ Channels<N> channels(int source, int channel) const;
//
//   template <int N>
//   __device__ void operator()(const Channels<N>& of, Pack<T, N>& values, std::int64_t at,
//                              int source, bool owned) const;
//
// values are N neighbouring channels from `channel` (of all groups) on of a pixel inside the image,
// at element `at` of a tensor of the image's shape (so of a shortcut, too). N is
// Prologue::kWidth, a piece of 16 bytes or half of it (then fewer numbers are in registers at a
// time), or 1 where channels or pointers do not allow pieces. Padding is zero and never passes
// through here: zero is the padding of the activation, not of what it is computed from. `owned` is
// true for each element in one block of the grid alone, provided that covers_input(problem) holds:
// that one may store it. The kernel rounds to tf32 afterwards.
struct NoPrologue {
  static constexpr bool kIdentity = true;
  static constexpr int kResidentBlocks = 4;  // of a multiprocessor
};

// The outputs of a block as stored: `pixels` by `width` values of T in shared memory, of which
// `channels` a pixel exist. Pixel i lies in row i / 16; a row holds the columns of one image after
// the other's.
template <class T>
struct StoredTile {
  const T* values;
  int pitch, pixels, width, channels;
  int first_channel;  // of all groups
  BlockPlace block;   // x is the tile's number
  const ConvProblem& p;
  const HaloPlan& plan;
  const HaloPlace& place;

  __device__ T operator()(int pixel, int channel) const { return values[pixel * pitch + channel]; }

  __device__ bool exists(int pixel) const {
    return place.first_row + row(pixel) < place.h.count &&
           place.first_column + column(pixel) < place.w.count &&
           place.first_image + image(pixel) < p.batch;
  }
  // How many do of a tile of this one's class.
  __device__ int existing(const TileCorner& first) const {
    const auto least = [](int a, int b) { return a < b ? a : b; };
    return least(place.h.count - first.row, pixels / kTileColumns) *
           least(place.w.count - first.column, 1 << plan.width_log) *
           least(p.batch - first.image, kTileColumns >> plan.width_log);
  }
  // The element of the output that holds a pixel's first channel of the tile.
  __device__ std::int64_t at(int pixel) const {
    const std::int64_t n = place.first_image + image(pixel);
    const int h = place.h.position(place.first_row + row(pixel));
    const int w = place.w.position(place.first_column + column(pixel));
    return ((n * p.out_h + h) * p.out_w + w) * p.out_c + first_channel;
  }

 private:
  __device__ int row(int pixel) const { return pixel / kTileColumns; }
  __device__ int image(int pixel) const { return pixel % kTileColumns >> plan.width_log; }
  __device__ int column(int pixel) const {
    return pixel % kTileColumns & ((1 << plan.width_log) - 1);
  }
};

// An epilogue sees every tile of outputs once, after it was stored:
//
//   template <class T>
//   __device__ void operator()(const StoredTile<T>& tile) const;
//
// by all threads of the block from one line; it may meet at barriers. Tiles are numbered by shape
// alone, so partial results by tile may be merged in their order, by the last block (last_of). With
// kStores the tile is in shared memory alone, and the epilogue writes what it makes of it.
struct NoEpilogue {
  static constexpr bool kIdentity = true, kStores = false;
};

}  // namespace ek::kernels::EK_TARGET
