#pragma once
#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "kernels/conv.h"

// How a convolution of stride 1 becomes products of tiles.
//
//   target[i, j, o] = sum over taps (kh, kw) and channels c of
//                     weight[o, kh, kw, c] source[i + kh - pad_h, j + kw - pad_w, c]
//
// The forward pass is that with x and y; backward data is the same with dy and dx, the weights
// transposed and flipped, and the padding k - 1 - pad.
//
// A product of tiles takes 16 neighbouring outputs, 32 numbers of the source each. A tile that does
// not lie on cache lines takes six times as long to load. So the images are copied with their
// padding, row by row, into records of whole cache lines, one for each place where a tap can meet
// the image: its channels in chunks of 32. Where an image has 16 channels or fewer, a record has
// those of the place in the first half and those of the place below in the second, and serves two
// taps at once (where the taps are odd in number, the last pair has one again, with weights of
// zero). A tile is 16 records in a row; where rows are not multiples of 16 outputs, records of some
// images take turns, [row][column][image], until they are.
//
// Float images become three bf16 images, x = high + middle + low to the last of their 24 bits, and
// weights three packs. Of the nine products of two such numbers the six largest are added up, which
// leaves out less than 2^-23 of |x w|: no more than a float32 product rounds.
namespace ek::kernels::cpu {

// The bf16 numbers of a number of T.
template <class T>
inline constexpr int amx_parts = std::is_same_v<T, bf16> ? 1 : 3;

struct AmxConvPlan {
  std::int64_t batch;
  std::int64_t source_h, source_w, source_c;
  std::int64_t target_h, target_w, target_c;
  std::int64_t kernel_h, kernel_w, pad_h, pad_w;

  std::int64_t parts;      // amx_parts of the images
  bool pairs_rows;         // 16 channels or fewer
  std::int64_t record;     // elements
  std::int64_t images;     // that take turns
  std::int64_t columns;    // of records
  std::int64_t row_tiles;  // of 16 outputs, in a row of the images
  // Rows of records that are kept at a time, so few that they stay in the first-level cache: row r
  // of the padded images is at r % kept_rows, a power of two.
  std::int64_t kept_rows;
  static constexpr std::int64_t tiles_at_once = 4;

  // The steps of a sum: runs of row_steps, which begin that many elements behind the first record
  // of their row. A run serves taps_down rows of taps, from first_tap(run) on.
  std::int64_t taps_down, runs;
  std::vector<std::int64_t> row_steps;
  std::int64_t target_blocks;  // of 16 channels

  // Whether the pass is for `shape`: stride 1, one group, padding below the kernel's size, and
  // weights that stay in a core's second-level cache. Does not depend on the batch.
  static bool fits(const Conv2dShape& shape, Conv2dPass pass, std::int64_t parts);
  AmxConvPlan(const Conv2dShape& shape, Conv2dPass pass, std::int64_t parts);

  std::int64_t row_size() const { return columns * images * record; }  // elements
  std::int64_t part_size() const { return kept_rows * row_size(); }
  std::int64_t steps() const { return runs * std::int64_t(row_steps.size()); }
  std::int64_t first_tap(std::int64_t run) const {
    return std::min(run * taps_down, kernel_h - taps_down);
  }

  // Elements of a pack: [target block][step][part][16 pairs][16 channels of the target][2].
  static constexpr std::int64_t tile = 512;
  std::int64_t pack_size() const { return target_blocks * steps() * parts * tile; }
};

}  // namespace ek::kernels::cpu
