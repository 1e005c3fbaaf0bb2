#pragma once
// What can ride on the convolution of conv_halo.cuh: a prologue on what it reads, an epilogue on
// what it writes. Both are small values that are passed to the kernel.
#include "kernels/cuda/conv_pieces.cuh"

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
// at element `at` of a tensor of the image's shape (so of a shortcut, too). N is a piece of 16
// bytes, or 1 where channels or pointers do not allow pieces. Padding is zero and never passes
// through here: zero is the padding of the activation, not of what it is computed from. `owned` is
// true for each element in one block of the grid alone, provided that covers_input(problem) holds:
// that one may store it. The kernel rounds to tf32 afterwards.
struct NoPrologue {
  static constexpr bool kIdentity = true;
};

// The outputs of a block as stored: `pixels` of them by up to `channels` channels of T in shared
// memory.
template <class T>
struct StoredTile {
  const T* values;
  int pitch, pixels, channels;                       // channels: those that exist
  int width_log, image_columns, image_rows, images;  // that exist, from the tile's first one on
  std::int64_t tile;                                 // of the grid's tiles of outputs
  int first_channel;                                 // of all groups

  // Pixel i lies in row i / 16; a row holds the columns of one image after the other's.
  __device__ bool exists(int pixel) const {
    const int column = pixel % 16;
    return pixel / 16 < image_rows && (column & ((1 << width_log) - 1)) < image_columns &&
           column >> width_log < images;
  }
  __device__ int existing() const {
    const auto least = [](int a, int b) { return a < b ? a : b; };
    return least(image_rows, pixels / 16) * least(image_columns, 1 << width_log) *
           least(images, 16 >> width_log);
  }
  __device__ T operator()(int pixel, int channel) const { return values[pixel * pitch + channel]; }
};

// An epilogue sees every tile of outputs once, after it was stored:
//
//   template <class T>
//   __device__ void operator()(const StoredTile<T>& tile) const;
//
// by all threads of the block from one line; it may meet at barriers. Tiles are numbered by shape
// alone, so partial results by tile may be merged in their order.
struct NoEpilogue {
  static constexpr bool kIdentity = true;
};

}  // namespace ek::kernels::EK_TARGET
