#include "kernels/cpu/amx/amx_conv_plan.h"

#include <bit>
#include <numeric>
#include <utility>

#include "kernels/cpu/blocks.h"

namespace ek::kernels::cpu {

AmxConvPlan::AmxConvPlan(const Conv2dShape& s, Conv2dPass pass, std::int64_t number_parts)
    : batch(s.batch),
      source_h(s.in_h),
      source_w(s.in_w),
      source_c(s.in_c),
      target_h(s.out_h()),
      target_w(s.out_w()),
      target_c(s.out_c),
      kernel_h(s.kernel_h),
      kernel_w(s.kernel_w),
      pad_h(s.pad_h),
      pad_w(s.pad_w),
      parts(number_parts) {
  if (pass == Conv2dPass::backward_data) {
    std::swap(source_h, target_h);
    std::swap(source_w, target_w);
    std::swap(source_c, target_c);
    pad_h = kernel_h - 1 - pad_h;
    pad_w = kernel_w - 1 - pad_w;
  }
  pairs_rows = source_c <= 16 && kernel_h > 1;
  taps_down = pairs_rows ? 2 : 1;
  runs = block_count(kernel_h, taps_down);
  const std::int64_t chunks = block_count(source_c, 32);
  record = chunks * 32;
  images = 16 / std::gcd(std::int64_t(16), target_w);
  columns = target_w + kernel_w - 1;
  row_tiles = target_w * images / 16;
  target_blocks = block_count(target_c, 16);
  // The rows that tiles_at_once tiles lie in, and those that their taps add.
  const std::int64_t tile_rows = tiles_at_once % row_tiles == 0 ? tiles_at_once / row_tiles
                                 : row_tiles % tiles_at_once == 0
                                     ? 1
                                     : (tiles_at_once - 2) / row_tiles + 2;
  kept_rows = std::int64_t(std::bit_ceil(std::uint64_t(tile_rows + kernel_h - 1)));
  for (std::int64_t kw = 0; kw < kernel_w; ++kw) {
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      row_steps.push_back(kw * images * record + chunk * 32);
    }
  }
}

bool AmxConvPlan::fits(const Conv2dShape& s, Conv2dPass pass, std::int64_t parts) {
  constexpr std::int64_t most_pack_bytes = 1024 << 10;
  if (s.groups != 1 || s.stride_h != 1 || s.stride_w != 1 || s.pad_h >= s.kernel_h ||
      s.pad_w >= s.kernel_w) {
    return false;
  }
  // Fewer channels would leave most of a tile empty.
  if (s.in_c <= 8 || s.out_c <= 8) return false;
  return AmxConvPlan(s, pass, parts).pack_size() * std::int64_t(sizeof(bf16)) <= most_pack_bytes;
}

}  // namespace ek::kernels::cpu
