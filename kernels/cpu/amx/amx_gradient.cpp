#include "kernels/cpu/amx/amx_gradient.h"

#include "kernels/cpu/amx/amx.h"
#include "kernels/cpu/amx/amx_gradient_plan.h"
#include "kernels/cpu/amx/amx_tiles.h"
#include "kernels/cpu/blocks.h"
#include "kernels/cpu/scratch.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <iterator>

// Compiled for AVX-512 whatever the rest is compiled for; has_amx_bf16 guards every call.
#define EK_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))

namespace ek::kernels::cpu {
namespace {

constexpr std::int64_t tile_size = 256;  // of sums

// For masked intrinsics with every lane on: the plain ones of GCC 12's headers raise false
// warnings.
constexpr __mmask32 all16 = 0xffffffff;
constexpr __mmask16 all32 = 0xffff;
constexpr __mmask8 all64 = 0xff;

// Lanes of 8 channels of pixels 0, 8, 16 and 24 behind `from`.
EK_AVX512 inline __m512i four_pixels(const bf16* from, std::int64_t step) {
  const auto lane = [=](std::int64_t pixel) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + pixel * step));
  };
  __m512i lanes = _mm512_castsi128_si512(lane(0));
  lanes = _mm512_maskz_inserti32x4(all32, lanes, lane(8), 1);
  lanes = _mm512_maskz_inserti32x4(all32, lanes, lane(16), 2);
  return _mm512_maskz_inserti32x4(all32, lanes, lane(24), 3);
}

// rows[c] = 32 pixels of channel c, c = 0 .. 7: a transpose in the registers.
EK_AVX512 inline void channels(const bf16* from, std::int64_t step, __m512i rows[8]) {
  __m512i pairs[8];  // [low, high channels] of pixels 2 n and 2 n + 1 of each lane's eight
  for (int n = 0; n < 4; ++n) {
    const __m512i a = four_pixels(from + 2 * n * step, step);
    const __m512i b = four_pixels(from + (2 * n + 1) * step, step);
    pairs[n] = _mm512_maskz_unpacklo_epi16(all16, a, b);
    pairs[n + 4] = _mm512_maskz_unpackhi_epi16(all16, a, b);
  }
  for (int half = 0; half < 8; half += 4) {
    const __m512i* p = pairs + half;
    const __m512i low01 = _mm512_maskz_unpacklo_epi32(all32, p[0], p[1]);
    const __m512i high01 = _mm512_maskz_unpackhi_epi32(all32, p[0], p[1]);
    const __m512i low23 = _mm512_maskz_unpacklo_epi32(all32, p[2], p[3]);
    const __m512i high23 = _mm512_maskz_unpackhi_epi32(all32, p[2], p[3]);
    rows[half] = _mm512_maskz_unpacklo_epi64(all64, low01, low23);
    rows[half + 1] = _mm512_maskz_unpackhi_epi64(all64, low01, low23);
    rows[half + 2] = _mm512_maskz_unpacklo_epi64(all64, high01, high23);
    rows[half + 3] = _mm512_maskz_unpackhi_epi64(all64, high01, high23);
  }
}

// 16 channels of 32 pixels of dy, zero-padded if there are fewer.
struct DyBlock {
  const bf16* from;
  std::int64_t step;
  bf16 padded[32 * 16];

  DyBlock(const bf16* dy, std::int64_t out_c, std::int64_t pixels, std::int64_t width)
      : from(dy), step(out_c) {
    if (pixels >= 32 && width >= 16) return;
    std::fill(std::begin(padded), std::end(padded), bf16{});
    for (std::int64_t n = 0; n < std::min<std::int64_t>(pixels, 32); ++n) {
      std::copy_n(dy + n * out_c, std::min<std::int64_t>(width, 16), padded + n * 16);
    }
    from = padded;
    step = 16;
  }
};

// The band of dy that begins with a block of pixels, for a block of channels, as
// [copy][16 channels][pitch].
EK_AVX512 void transpose_dy(const AmxGradientPlan& p, const bf16* dy, std::int64_t first_block,
                            std::int64_t channel_block, bf16* to) {
  const std::int64_t out_c = p.shape.out_c;
  for (std::int64_t n = 0; n < p.band_blocks; ++n) {
    const std::int64_t block = first_block + n;
    const DyBlock pixels(dy + block * 32 * out_c + channel_block * 16, out_c, p.pixels - block * 32,
                         out_c - channel_block * 16);
    for (std::int64_t half = 0; half < 16; half += 8) {
      __m512i rows[8];
      channels(pixels.from + half, pixels.step, rows);
      for (std::int64_t c = 0; c < 8; ++c) {
        _mm512_store_si512(to + (half + c) * p.pitch + n * 32, rows[c]);
      }
    }
  }
  for (std::size_t copy = 1; copy < p.shifts.size(); ++copy) {
    const std::uint32_t* keep =
        &p.keep[copy * std::size_t(p.pixel_blocks) + std::size_t(first_block)];
    bf16* const out = to + std::int64_t(copy) * p.copy_size();
    for (std::int64_t row = 0; row < p.copy_size(); row += p.pitch) {
      for (std::int64_t n = 0; n < p.band_blocks; ++n) {
        // What lies outside of the row is masked, and so not read.
        const bf16* from = to + row + n * 32 - p.shifts[copy];
        _mm512_store_si512(out + row + n * 32, _mm512_maskz_loadu_epi16(keep[n], from));
      }
    }
  }
}

// The band of x that begins with a row of the grid, as
// [in block][phase][pixel / 2][16 channels][2].
EK_AVX512 void pair_x(const AmxGradientPlan& p, const bf16* x, std::int64_t first_row, bf16* to) {
  const Conv2dShape& s = p.shape;
  const std::int64_t step = s.stride_w * s.in_c, row_step = s.stride_h * s.in_w * s.in_c;
  const __m512i in_turn =
      _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                       21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  for (std::int64_t block = 0; block < p.in_blocks; ++block) {
    const std::int64_t channels = std::min<std::int64_t>(16, s.in_c - block * 16);
    const __mmask16 lanes = __mmask16((1u << channels) - 1);
    for (std::int64_t phase = 0; phase < p.phases; ++phase) {
      const bf16* const first =
          x + (phase / s.stride_w * s.in_w + phase % s.stride_w) * s.in_c + block * 16;
      bf16* const end = to + p.phase_size();
      for (std::int64_t row = first_row - p.halo; to < end; ++row) {
        const std::int64_t size = std::min<std::int64_t>(p.width * 16, end - to);
        if (row < 0 || row * p.width >= p.pixels) {
          std::fill_n(to, size, bf16{});
          to += size;
          continue;
        }
        const bf16* from = first + row * row_step;
        for (std::int64_t column = 0; column < p.width; column += 2, from += 2 * step, to += 32) {
          const __m512i both = _mm512_maskz_inserti64x4(
              all64, _mm512_castsi256_si512(_mm256_maskz_loadu_epi16(lanes, from)),
              _mm256_maskz_loadu_epi16(lanes, from + step), 1);
          _mm512_store_si512(to, _mm512_permutexvar_epi16(in_turn, both));
        }
      }
    }
  }
}

// sums[tap][in block] (+)= the products of the taps of a group with some blocks of input channels,
// over a band of some images. The sums stay in the first tiles meanwhile.
template <int taps, int blocks>
struct Product {
  static void run(const AmxGradientPlan& p, const AmxGradientPlan::Tap* tap, const bf16* dy,
                  const bf16* x, std::int64_t images, bool add, std::int64_t tap_step,
                  float* sums) {
    constexpr std::int64_t row_bytes = 64;
    const std::int64_t x_block = p.phases * p.phase_size(), pitch_bytes = p.pitch * 2;
    for_sums([&]<int t, int i>() {
      float* from = sums + t * tap_step + i * tile_size;
      add ? amx::load<t * blocks + i>(from, row_bytes) : amx::zero<t * blocks + i>();
    });
    for (std::int64_t image = 0; image < images; ++image) {
      const bf16* left = dy + image * p.dy_size() + tap->copy * p.copy_size();
      const bf16* right[taps];
      for (int t = 0; t < taps; ++t) {
        right[t] = x + image * p.x_size() + tap[t].phase * p.phase_size() +
                   (p.halo + tap[t].row) * p.width * 16;
      }
      for (std::int64_t pixel = 0; pixel < p.band_blocks * 32; pixel += 32) {
        amx::load<7>(left + pixel, pitch_bytes);
        for_sums([&]<int t, int i>() {
          amx::load<6>(right[t] + i * x_block + pixel * 16, row_bytes);
          amx::multiply_add<t * blocks + i, 7, 6>();
        });
      }
    }
    for_sums([&]<int t, int i>() {
      amx::store<t * blocks + i>(sums + t * tap_step + i * tile_size, row_bytes);
    });
  }

  // f<tap, block>() for each.
  template <class F>
  static void for_sums(F f) {
    [&]<int... n>(std::integer_sequence<int, n...>) {
      (f.template operator()<n / blocks, n % blocks>(), ...);
    }
    (std::make_integer_sequence<int, taps * blocks>());
  }
};

using Run = decltype(&Product<1, 1>::run);

// taps * blocks <= 6
Run product(std::int64_t taps, std::int64_t blocks) {
  constexpr Run known[] = {Product<1, 1>::run, Product<1, 2>::run, Product<1, 3>::run,
                           Product<1, 4>::run, Product<1, 5>::run, Product<1, 6>::run,
                           Product<2, 1>::run, Product<2, 2>::run, Product<2, 3>::run,
                           Product<3, 1>::run, Product<3, 2>::run, Product<4, 1>::run,
                           Product<5, 1>::run, Product<6, 1>::run};
  constexpr int first[] = {0, 6, 9, 11, 12, 13};
  return known[first[taps - 1] + blocks - 1];
}

class AmxGradient final : public SliceGradient<bf16> {
 public:
  explicit AmxGradient(const Conv2dShape& slice) : plan_(slice) {}

  std::size_t scratch_bytes() const override {
    return padded_bytes<bf16>(plan_.images_at_once * (plan_.x_size() + plan_.dy_size()));
  }

  // [out block][tap][in block][16 out channels][16 in channels]
  std::int64_t partial_size() const override {
    return plan_.out_blocks * plan_.in_blocks * std::int64_t(plan_.taps.size()) * tile_size;
  }

  void compute(const bf16* x, const bf16* dy, float* partial, std::byte* scratch) const override {
    const Conv2dShape& s = plan_.shape;
    bf16* const dy_rows = reinterpret_cast<bf16*>(scratch);
    bf16* const x_pairs = dy_rows + plan_.images_at_once * plan_.dy_size();
    const amx::Tiles tiles;
    for (std::int64_t image = 0; image < s.batch; image += plan_.images_at_once) {
      const std::int64_t images = std::min(plan_.images_at_once, s.batch - image);
      for (std::int64_t block = 0; block < plan_.pixel_blocks; block += plan_.band_blocks) {
        for (std::int64_t n = 0; n < images; ++n) {
          pair_x(plan_, x + (image + n) * s.in_h * s.in_w * s.in_c, block * 32 / plan_.width,
                 x_pairs + n * plan_.x_size());
        }
        for (std::int64_t o = 0; o < plan_.out_blocks; ++o) {
          for (std::int64_t n = 0; n < images; ++n) {
            transpose_dy(plan_, dy + (image + n) * plan_.pixels * s.out_c, block, o,
                         dy_rows + n * plan_.dy_size());
          }
          multiply(dy_rows, x_pairs, images, image + block > 0, partial + o * out_step());
        }
      }
    }
  }

  bool is_ohwi() const override { return false; }
  std::size_t to_ohwi_bytes() const override { return 0; }
  void to_ohwi(const float* total, float* dweight, std::byte*) const override {
    const Conv2dShape& s = plan_.shape;
    const std::int64_t taps = std::int64_t(plan_.taps.size());
    for_item_blocks(s.out_c, taps * s.in_c, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t o = begin; o < end; ++o) {
        for (std::int64_t t = 0; t < taps; ++t) {
          float* to = dweight + (o * taps + plan_.taps[std::size_t(t)].number) * s.in_c;
          for (std::int64_t i = 0; i < plan_.in_blocks; ++i) {
            const std::int64_t tile = (o / 16 * taps + t) * plan_.in_blocks + i;
            std::copy_n(total + tile * tile_size + o % 16 * 16,
                        std::min<std::int64_t>(16, s.in_c - i * 16), to + i * 16);
          }
        }
      }
    });
  }

 private:
  std::int64_t out_step() const {
    return std::int64_t(plan_.taps.size()) * plan_.in_blocks * tile_size;
  }

  void multiply(const bf16* dy, const bf16* x, std::int64_t images, bool add, float* sums) const {
    const std::int64_t tap_step = plan_.in_blocks * tile_size;
    for (const AmxGradientPlan::Group& group : plan_.groups) {
      for (std::int64_t i = 0; i < plan_.in_blocks; i += 6) {
        const std::int64_t blocks = std::min<std::int64_t>(6, plan_.in_blocks - i);
        product(group.count, blocks)(plan_, &plan_.taps[std::size_t(group.first)], dy,
                                     x + i * plan_.phases * plan_.phase_size(), images, add,
                                     tap_step, sums + group.first * tap_step + i * tile_size);
      }
    }
  }

  AmxGradientPlan plan_;
};

}  // namespace

SliceGradientPtr<bf16> amx_slice_gradient(const Conv2dShape& slice) {
  if (!has_amx_bf16() || !AmxGradientPlan::fits(slice)) return nullptr;
  return std::make_shared<AmxGradient>(slice);
}

}  // namespace ek::kernels::cpu

#else

namespace ek::kernels::cpu {
SliceGradientPtr<bf16> amx_slice_gradient(const Conv2dShape&) {
  return nullptr;
}
}  // namespace ek::kernels::cpu
#endif
