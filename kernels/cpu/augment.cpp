#include "kernels/augment.h"

#include <algorithm>

#include "kernels/base/error.h"
#include "kernels/cpu/blocks.h"
#include "kernels/cpu/simd.h"
#include "kernels/math/augment_draw.h"

namespace ek::kernels {
namespace {

// The 3 x 256 possible outputs, so that a pixel costs a look-up instead of two divisions.
template <class T>
struct NormalisedValues {
  explicit NormalisedValues(const AugmentSpec& spec) {
    for (int c = 0; c < 3; ++c) {
      for (std::uint32_t v = 0; v < 256; ++v)
        table[c][v] = cpu::rounded<T>(math::normalised_value(spec, c, v));
    }
  }
  void write(const std::uint8_t* pixel, T* out) const {
    for (int c = 0; c < 3; ++c) out[c] = table[c][pixel[c]];
  }
  T table[3][256];
};

// Columns come from where padded_source says. Those of the crop that need no padding, `first` to
// `last`, lie side by side in the image, so only the few others ask.
template <class T>
void augment_one(const AugmentSpec& spec, const math::AugmentDraw& draw,
                 const NormalisedValues<T>& values, const std::uint8_t* image, T* out) {
  static constexpr std::uint8_t black[3] = {0, 0, 0};
  const std::int64_t width = spec.width;
  const std::int64_t shift = draw.offset_x - spec.zero_pad - spec.reflect_pad;
  const std::int64_t first = std::clamp<std::int64_t>(-shift, 0, width);
  const std::int64_t last = std::clamp(width - shift, first, width);
  const std::int64_t step = draw.flip ? -3 : 3;
  for (std::int64_t y = 0; y < spec.height; ++y, out += 3 * width) {
    const std::int64_t from_y =
        math::padded_source(y + draw.offset_y, spec.height, spec.reflect_pad, spec.zero_pad);
    const std::uint8_t* row = from_y >= 0 ? image + from_y * width * 3 : nullptr;  // null: black
    T* const begin = draw.flip ? out + 3 * (width - 1) : out;  // of column 0 of the crop
    const auto padded = [&](std::int64_t x) {
      const std::int64_t from_x =
          math::padded_source(x + draw.offset_x, width, spec.reflect_pad, spec.zero_pad);
      values.write(row && from_x >= 0 ? row + from_x * 3 : black, begin + x * step);
    };
    for (std::int64_t x = 0; x < (row ? first : width); ++x) padded(x);
    if (!row) continue;
    const std::uint8_t* pixel = row + (first + shift) * 3;
    T* to = begin + first * step;
    for (std::int64_t x = first; x < last; ++x, pixel += 3, to += step) values.write(pixel, to);
    for (std::int64_t x = last; x < width; ++x) padded(x);
  }
}

}  // namespace

void check_augment(const AugmentSpec& spec, const AugmentKey& key) {
  require(0 <= spec.zero_pad && 0 <= spec.reflect_pad && spec.reflect_pad < spec.height &&
              spec.reflect_pad < spec.width,
          "augment_images: expected pads >= 0 and reflect_pad below the size {} x {}, got "
          "reflect_pad {}, zero_pad {}",
          spec.height, spec.width, spec.reflect_pad, spec.zero_pad);
  require(key.purpose < 65536 && key.view < 65536,
          "augment_images: expected purpose and view below 65536, got {} and {}", key.purpose,
          key.view);
}

template <class B, class T>
void augment_images(Stream, const AugmentSpec& spec, const AugmentKey& key, std::int64_t count,
                    const std::uint8_t* images, const std::int64_t* index,
                    const std::int64_t* positions, T* out) {
  check_augment(spec, key);
  const NormalisedValues<T> values(spec);
  const std::int64_t size = spec.height * spec.width * 3;
  cpu::for_item_blocks(count, size, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto draw = math::augment_draw(spec, key, positions[i]);
      augment_one(spec, draw, values, images + index[i] * size, out + i * size);
    }
  });
}

template decltype(augment_images<Cpu, float>) augment_images<Cpu, float>;
template decltype(augment_images<Cpu, double>) augment_images<Cpu, double>;
template decltype(augment_images<Cpu, bf16>) augment_images<Cpu, bf16>;

}  // namespace ek::kernels
