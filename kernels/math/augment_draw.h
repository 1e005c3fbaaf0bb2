#pragma once
#include <cstdint>

#include "kernels/augment.h"
#include "kernels/math/philox.h"

namespace ek::math {

// What is random in one augmented image: the top left corner of the crop within the padded image,
// and whether the crop is mirrored.
struct AugmentDraw {
  std::int64_t offset_y = 0, offset_x = 0;
  bool flip = false;
};

// The draw at `position` of the sampler's global sequence. One Philox block serves an image: words
// 0 and 1 give the offsets, uniform in [0, 2 (reflect_pad + zero_pad)] (so 0 without padding; 0..16
// for the reflect 4, zero 4 of cifar-dn-plain), the top bit of word 2 the flip.
// purpose and view are below 2^16.
EK_HOST_DEVICE inline AugmentDraw augment_draw(const kernels::AugmentSpec& spec,
                                               const kernels::AugmentKey& key,
                                               std::int64_t position) {
  const std::uint64_t place = std::uint64_t(position);
  const auto bits = philox(
      {std::uint32_t(place), std::uint32_t(place >> 32), key.purpose | (key.view << 16), key.epoch},
      {std::uint32_t(key.seed), std::uint32_t(key.seed >> 32)});
  const std::uint32_t choices = std::uint32_t(2 * (spec.reflect_pad + spec.zero_pad) + 1);
  return {std::int64_t(below(bits[0], choices)), std::int64_t(below(bits[1], choices)),
          spec.flip && (bits[2] >> 31) != 0};
}

// Where row or column `i` of the padded image comes from in an image of `size` rows or columns: an
// index in [0, size), or -1 for the black border. The reflection leaves the border pixel out:
// -1 -> 1, size -> size - 2.
EK_HOST_DEVICE inline std::int64_t padded_source(std::int64_t i, std::int64_t size,
                                                 std::int64_t reflect_pad, std::int64_t zero_pad) {
  const std::int64_t reflected = i - zero_pad;
  if (reflected < 0 || reflected >= size + 2 * reflect_pad) return -1;
  const std::int64_t source = reflected - reflect_pad;
  if (source < 0) return -source;
  return source < size ? source : 2 * size - 2 - source;
}

// An 8-bit value of `channel` as the network sees it. Padding is black, value 0.
EK_HOST_DEVICE inline double normalised_value(const kernels::AugmentSpec& spec, int channel,
                                              std::uint32_t value) {
  return (double(value) / 255.0 - spec.mean[channel]) / spec.std[channel];
}

}  // namespace ek::math
