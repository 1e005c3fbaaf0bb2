#include "kernels/cpu/amx/amx_gradient_plan.h"

#include <algorithm>

#include "kernels/cpu/batch_slices.h"
#include "kernels/cpu/blocks.h"

namespace ek::kernels::cpu {
namespace {

// Tap `tap` of an axis makes output i meet input (i + shift) * stride + phase.
struct AxisTap {
  std::int64_t phase, shift;
};
AxisTap axis_tap(std::int64_t tap, std::int64_t stride, std::int64_t pad) {
  const std::int64_t from = tap - pad;
  const std::int64_t shift = from >= 0 ? from / stride : -block_count(-from, stride);
  return {from - shift * stride, shift};
}

// Bits of the pixels of a block that have one `shift` columns before them.
std::uint32_t kept(std::int64_t block, std::int64_t pixels, std::int64_t width,
                   std::int64_t shift) {
  std::uint32_t bits = 0;
  for (std::int64_t lane = 0; lane < 32; ++lane) {
    const std::int64_t pixel = block * 32 + lane, source = pixel % width - shift;
    if (pixel < pixels && source >= 0 && source < width) bits |= std::uint32_t(1) << lane;
  }
  return bits;
}

}  // namespace

bool AmxGradientPlan::fits(const Conv2dShape& s) {
  return s.groups == 1 && s.in_h == s.out_h() * s.stride_h && s.in_w == s.out_w() * s.stride_w &&
         s.out_w() % 2 == 0;
}

AmxGradientPlan::AmxGradientPlan(const Conv2dShape& s)
    : shape(s),
      pixels(s.out_h() * s.out_w()),
      width(s.out_w()),
      pixel_blocks(block_count(pixels, 32)),
      out_blocks(block_count(s.out_c, 16)),
      in_blocks(block_count(s.in_c, 16)),
      phases(s.stride_h * s.stride_w),
      shifts{0},
      halo(0) {
  add_taps();
  for (std::int64_t shift : shifts) {
    for (std::int64_t block = 0; block < pixel_blocks; ++block) {
      keep.push_back(kept(block, pixels, width, shift));
    }
  }
  cut_bands();
}

void AmxGradientPlan::add_taps() {
  for (std::int64_t kh = 0; kh < shape.kernel_h; ++kh) {
    const AxisTap h = axis_tap(kh, shape.stride_h, shape.pad_h);
    halo = std::max({halo, h.shift, -h.shift});
    for (std::int64_t kw = 0; kw < shape.kernel_w; ++kw) {
      const AxisTap w = axis_tap(kw, shape.stride_w, shape.pad_w);
      const auto known = std::find(shifts.begin(), shifts.end(), w.shift);
      const std::int64_t copy = known - shifts.begin();
      if (known == shifts.end()) shifts.push_back(w.shift);
      taps.push_back({kh * shape.kernel_w + kw, copy, h.phase * shape.stride_w + w.phase, h.shift});
    }
  }
  std::stable_sort(taps.begin(), taps.end(),
                   [](const Tap& a, const Tap& b) { return a.copy < b.copy; });
  // Six of the eight tiles hold sums.
  const std::int64_t at_most = std::max<std::int64_t>(6 / in_blocks, 1);
  for (std::size_t begin = 0, end = 0; begin < taps.size(); begin = end) {
    while (end < taps.size() && taps[end].copy == taps[begin].copy) ++end;
    const std::int64_t count = std::int64_t(end - begin);
    const BatchSlices parts{count, block_count(count, at_most)};
    for (std::int64_t n = 0; n < parts.count; ++n) {
      groups.push_back({std::int64_t(begin) + parts.begin(n), parts.size(n)});
    }
  }
}

void AmxGradientPlan::cut_bands() {
  const auto bytes = [&](std::int64_t blocks, std::int64_t images) {
    band_blocks = blocks;
    images_at_once = images;
    // The rows of a tile in different sets of the cache.
    pitch = blocks * 32 + (blocks % 2 == 0 ? 32 : 0);
    return images * (x_size() + dy_size()) * std::int64_t(sizeof(bf16));
  };
  // A band of 16 KiB to 32 KiB was best for the images of stage 1 of ResNet-32, which take 130 KiB;
  // but the sums go to memory and back for every band, and up to 64 KiB whole images were faster,
  // some at a time (measured with 24 to 160 KiB, on a first-level cache of 48 KiB).
  constexpr std::int64_t most_for_images = 64 << 10, most_for_band = 32 << 10;
  std::int64_t band = pixel_blocks, images = 1;
  if (bytes(pixel_blocks, 1) <= most_for_images) {
    while (images < shape.batch && bytes(band, images + 1) <= most_for_images) ++images;
  } else {  // of whole rows and whole blocks
    while (bytes(band, 1) > most_for_band && band % 2 == 0 && band / 2 * 32 % width == 0) band /= 2;
  }
  bytes(band, images);
}

}  // namespace ek::kernels::cpu
