#pragma once
#include <array>
#include <cstdint>

#include "kernels/base/backend.h"

namespace ek::kernels {

// Augmentation of 8-bit RGB images, HWC (docs/protocol.md):
//   reflect-pad, zero-pad, random crop back to height x width, flip with probability 1/2,
//   x/255, (x - mean) / std.
// With both pads 0 and flip off it is the evaluation transform.
struct AugmentSpec {
  std::int64_t height, width;
  std::int64_t reflect_pad = 0;  // < height and width; the border pixel is not repeated
  std::int64_t zero_pad = 0;     // black pixels, added outside the reflected ones
  bool flip = false;
  std::array<double, 3> mean{0, 0, 0}, std{1, 1, 1};
};

// Where the random numbers of a draw come from: Philox keyed by the seed, countered by
// (purpose, epoch, position, view). `position` is the place in the sampler's global sequence.
struct AugmentKey {
  std::uint64_t seed = 0;
  std::uint32_t purpose = 0, epoch = 0, view = 0;
};

// Throws ek::Error unless 0 <= zero_pad, 0 <= reflect_pad < height and width, and purpose and view
// are below 2^16. Each backend asks it first.
void check_augment(const AugmentSpec& spec, const AugmentKey& key);

// out[i] = augmented images[index[i]], NHWC [count, height, width, 3]; the draw of out[i] is made
// at positions[i]. images is [n, height, width, 3]; the caller checks that indices are in range.
// Offsets and flip come from augment_draw (kernels/math/augment_draw.h), the same on each backend.
template <class B, class T>
void augment_images(Stream stream, const AugmentSpec& spec, const AugmentKey& key,
                    std::int64_t count, const std::uint8_t* images, const std::int64_t* index,
                    const std::int64_t* positions, T* out);

}  // namespace ek::kernels
