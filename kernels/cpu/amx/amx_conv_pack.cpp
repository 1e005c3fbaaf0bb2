// Weights as amx_conv.cpp wants them.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/amx/amx.h"
#include "kernels/cpu/amx/amx_conv.h"
#include "kernels/cpu/amx/amx_conv_plan.h"
#include "kernels/cpu/bf16_lanes.h"
#include "kernels/cpu/blocks.h"

namespace ek::kernels::cpu {
namespace {

// Weights seen from the target: a tap's numbers for target channel o and source channel c.
struct Taps {
  const AmxConvPlan& plan;
  const float* ohwi;
  std::int64_t source_step, target_step;  // from a channel to the next
  bool flipped;

  Taps(const AmxConvPlan& p, const float* weights, bool backward)
      : plan(p), ohwi(weights), flipped(backward) {
    const std::int64_t taps = p.kernel_h * p.kernel_w;
    source_step = backward ? taps * p.target_c : 1;
    target_step = backward ? 1 : taps * p.source_c;
  }
  // That of the first channels.
  const float* at(std::int64_t kh, std::int64_t kw) const {
    const std::int64_t tap = kh * plan.kernel_w + kw;
    const std::int64_t number = flipped ? plan.kernel_h * plan.kernel_w - 1 - tap : tap;
    return ohwi + number * (flipped ? plan.target_c : plan.source_c);
  }
};

// pairs[n][o][2]: `count` channels of the source from c, for target channels from o, in the lanes
// from `lane`; zeros behind the last channel.
struct PackedTile {
  alignas(64) float values[AmxConvPlan::tile];

  void fill(const Taps& taps, const float* weights, std::int64_t c, std::int64_t count,
            std::int64_t o, std::int64_t lane) {
    const std::int64_t channels = std::clamp<std::int64_t>(taps.plan.source_c - c, 0, count);
    const std::int64_t targets = std::min<std::int64_t>(16, taps.plan.target_c - o);
    const float* from = weights + c * taps.source_step + o * taps.target_step;
    for (std::int64_t n = 0; n < channels; ++n) {
      float* const to = values + (lane + n) / 2 * 32 + (lane + n) % 2;
      for (std::int64_t t = 0; t < targets; ++t) {
        to[t * 2] = from[n * taps.source_step + t * taps.target_step];
      }
    }
  }
};

// The next part of each number, which is taken off.
void split(PackedTile& tile, bf16* to) {
  constexpr int lanes = 16;
  for (std::int64_t i = 0; i < AmxConvPlan::tile; i += lanes) {
    FloatLanes<lanes> values;
    std::memcpy(&values, tile.values + i, sizeof values);
    store_bf16<lanes>(values, to + i);
    values -= load_bf16<lanes>(to + i);
    std::memcpy(tile.values + i, &values, sizeof values);
  }
}

}  // namespace

template <class T>
std::optional<std::size_t> amx_pack_bytes(const Conv2dShape& shape, Conv2dPass pass) {
  if (!has_amx_bf16() || !AmxConvPlan::fits(shape, pass, amx_parts<T>)) return std::nullopt;
  return std::size_t(AmxConvPlan(shape, pass, amx_parts<T>).pack_size()) * sizeof(bf16);
}

template <class T>
void amx_pack(const Conv2dShape& shape, Conv2dPass pass, const float* ohwi, void* pack) {
  const AmxConvPlan plan(shape, pass, amx_parts<T>);
  const Taps taps(plan, ohwi, pass == Conv2dPass::backward_data);
  const std::int64_t chunks = plan.record / 32;
  parallel_for(plan.target_blocks * plan.runs, [&](std::int64_t n) {
    const std::int64_t o = n / plan.runs * 16, run = n % plan.runs, kh = plan.first_tap(run);
    const bool again = kh < run * plan.taps_down;  // the run before has the first of the pair
    bf16* to = static_cast<bf16*>(pack) + n * plan.kernel_w * chunks * plan.parts * plan.tile;
    for (std::int64_t kw = 0; kw < plan.kernel_w; ++kw) {
      for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
        PackedTile tile = {};
        if (plan.pairs_rows) {
          if (!again) tile.fill(taps, taps.at(kh, kw), 0, 16, o, 0);
          tile.fill(taps, taps.at(kh + 1, kw), 0, 16, o, 16);
        } else {
          tile.fill(taps, taps.at(kh, kw), chunk * 32, 32, o, 0);
        }
        for (std::int64_t part = 0; part < plan.parts; ++part, to += plan.tile) split(tile, to);
      }
    }
  });
}

template std::optional<std::size_t> amx_pack_bytes<bf16>(const Conv2dShape&, Conv2dPass);
template std::optional<std::size_t> amx_pack_bytes<float>(const Conv2dShape&, Conv2dPass);
template void amx_pack<bf16>(const Conv2dShape&, Conv2dPass, const float*, void*);
template void amx_pack<float>(const Conv2dShape&, Conv2dPass, const float*, void*);

}  // namespace ek::kernels::cpu
