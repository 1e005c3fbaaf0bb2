#include "kernels/cpu/amx/amx_conv.h"

#include "kernels/cpu/amx/amx.h"
#include "kernels/cpu/amx/amx_conv_plan.h"
#include "kernels/cpu/amx/amx_tiles.h"
#include "kernels/cpu/scratch.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

// Compiled for AVX-512 whatever the rest is compiled for; has_amx_bf16 guards every call.
#define EK_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

namespace ek::kernels::cpu {
namespace {

constexpr std::int64_t row_bytes = 64;  // of a tile
constexpr std::int64_t sums_in_tile = 256;

// For masked intrinsics with every lane on: the plain ones of GCC 12's headers raise false
// warnings.
constexpr __mmask16 all16 = 0xffff;
constexpr __mmask32 all32 = 0xffffffff;

// f<0>(), ..., f<count - 1>()
template <int count, class F>
inline void for_each(F f) {
  [&]<int... n>(std::integer_sequence<int, n...>) {
    (f.template operator()<n>(), ...);
  }
  (std::make_integer_sequence<int, count>());
}

// The rows of records that are kept, and the pack that meets them.
struct Operand {
  bf16* records;
  const bf16* pack;
};

// Where the records of a tile of outputs begin: the row of the padded images, and the offset in it.
struct TilePlace {
  std::int64_t row, offset;
};

// The products of a step for `pixels` tiles of outputs, added to the first tiles. Of three parts
// each that is, from the largest on, 0 0, 0 1, 0 2, 1 0, 1 1 and 2 0.
template <int parts, int pixels>
inline void add_step(const bf16* const* records, std::int64_t part_size, std::int64_t pitch,
                     const bf16* weights) {
  for_each<parts>([&]<int w>() { amx::load<5 + w>(weights + w * AmxConvPlan::tile, row_bytes); });
  for_each<pixels>([&]<int t>() {
    for_each<parts>([&]<int r>() {
      amx::load<4>(records[t] + r * part_size, pitch);
      for_each<parts - r>([&]<int w>() { amx::multiply_add<t, 4, 5 + w>(); });
    });
  });
}

// The sums of `pixels` tiles of outputs for a block of channels, in the first tiles.
template <int parts, int pixels>
void accumulate(const AmxConvPlan& p, const Operand* operands, int operand_count,
                const TilePlace* places, std::int64_t block) {
  for_each<pixels>([]<int n>() { amx::zero<n>(); });
  const std::int64_t pitch = p.record * std::int64_t(sizeof(bf16)), part_size = p.part_size();
  const std::int64_t* const steps = p.row_steps.data();
  const std::int64_t step_count = std::int64_t(p.row_steps.size());
  for (int n = 0; n < operand_count; ++n) {
    const bf16* weights = operands[n].pack + block * p.steps() * parts * AmxConvPlan::tile;
    for (std::int64_t run = 0; run < p.runs; ++run) {
      const std::int64_t kh = p.first_tap(run);
      const bf16* rows[pixels];
      for (int t = 0; t < pixels; ++t) {
        const std::int64_t row = (places[t].row + kh) & (p.kept_rows - 1);
        rows[t] = operands[n].records + row * p.row_size() + places[t].offset;
      }
      for (std::int64_t i = 0; i < step_count; ++i) {
        const bf16* records[pixels];
        for (int t = 0; t < pixels; ++t) records[t] = rows[t] + steps[i];
        add_step<parts, pixels>(records, part_size, pitch, weights);
        weights += parts * AmxConvPlan::tile;
      }
    }
  }
}

// Some images of the target.
template <class T>
struct Outputs {
  T* target;            // of the first one
  std::int64_t images;  // at most the plan's
};

// Up to 16 neighbouring numbers of the target, from float32 sums.
EK_AVX512 inline void store_sums(const float* sums, __mmask16 lanes, bf16* to) {
  const __m256bh halves = _mm512_maskz_cvtneps_pbh(all16, _mm512_maskz_loadu_ps(all16, sums));
  __m256i words;
  std::memcpy(&words, &halves, sizeof words);
  _mm256_mask_storeu_epi16(to, lanes, words);
}
EK_AVX512 inline void store_sums(const float* sums, __mmask16 lanes, float* to) {
  _mm512_mask_storeu_ps(to, lanes, _mm512_maskz_loadu_ps(all16, sums));
}

// 16 outputs of a row of the images, by 16 channels.
template <class T>
EK_AVX512 void store_tile(const AmxConvPlan& p, const float* sums, std::int64_t tile,
                          std::int64_t block, const Outputs<T>& to) {
  const std::int64_t channels = std::min<std::int64_t>(16, p.target_c - block * 16);
  const __mmask16 lanes = __mmask16((1u << channels) - 1);
  const std::int64_t row = tile / p.row_tiles, first = tile % p.row_tiles * 16;
  T* const of_row = to.target + row * p.target_w * p.target_c + block * 16;
  if (p.images == 1) {
    for (std::int64_t n = 0; n < 16; ++n) {
      store_sums(sums + n * 16, lanes, of_row + (first + n) * p.target_c);
    }
    return;
  }
  const std::int64_t image_size = p.target_h * p.target_w * p.target_c;
  std::int64_t column = first / p.images, image = first % p.images;
  for (std::int64_t n = 0; n < 16; ++n) {
    if (image < to.images) {
      store_sums(sums + n * 16, lanes, of_row + image * image_size + column * p.target_c);
    }
    if (++image == p.images) {
      image = 0;
      ++column;
    }
  }
}

// A row of an image on its way into records. `here` is the first record of the row; in pairs,
// `above` is the second half of the record above. Both in the first part.
struct RowCopy {
  std::int64_t columns, channels, record_step, part_size;
  bf16 *here, *above;
};

// Up to 16 numbers of every part, to `first` and, if there is one, to `second`.
template <bool twice>
EK_AVX512 inline void store_parts(__m512 values, std::int64_t part_size, bf16* first,
                                  bf16* second) {
  for (std::int64_t part = 0; part < 3; ++part, first += part_size, second += part_size) {
    const __m256bh halves = _mm512_maskz_cvtneps_pbh(all16, values);
    __m256i words;
    std::memcpy(&words, &halves, sizeof words);
    _mm256_store_si256(reinterpret_cast<__m256i*>(first), words);
    if constexpr (twice) _mm256_store_si256(reinterpret_cast<__m256i*>(second), words);
    const __m512i widened =
        _mm512_maskz_slli_epi32(all16, _mm512_maskz_cvtepu16_epi32(all16, words), 16);
    values = _mm512_maskz_sub_ps(all16, values, _mm512_castsi512_ps(widened));
  }
}

template <bool pairs>
EK_AVX512 void copy_row(const float* from, const RowCopy& to) {
  for (std::int64_t c = 0; c < to.channels; c += 16) {
    const std::int64_t channels = std::min<std::int64_t>(16, to.channels - c);
    const __mmask16 lanes = __mmask16((1u << channels) - 1);
    for (std::int64_t n = 0; n < to.columns; ++n) {
      const __m512 values = _mm512_maskz_loadu_ps(lanes, from + n * to.channels + c);
      store_parts<pairs>(values, to.part_size, to.here + n * to.record_step + c,
                         to.above + n * to.record_step);
    }
  }
}

template <bool pairs>
EK_AVX512 void copy_row(const bf16* from, const RowCopy& to) {
  for (std::int64_t c = 0; c < to.channels; c += 32) {
    const std::int64_t channels = std::min<std::int64_t>(32, to.channels - c);
    const __mmask32 lanes = __mmask32((std::uint64_t(1) << channels) - 1);
    for (std::int64_t n = 0; n < to.columns; ++n) {
      const bf16* pixel = from + n * to.channels + c;
      bf16* const here = to.here + n * to.record_step + c;
      if constexpr (pairs) {
        const __m256i values = _mm256_maskz_loadu_epi16(__mmask16(lanes), pixel);
        _mm256_store_si256(reinterpret_cast<__m256i*>(here), values);
        _mm256_store_si256(reinterpret_cast<__m256i*>(to.above + n * to.record_step), values);
      } else {
        _mm512_store_si512(here, _mm512_maskz_loadu_epi16(lanes, pixel));
      }
    }
  }
}

template <bool pairs>
void clear_row(std::int64_t parts, const RowCopy& to) {
  for (std::int64_t part = 0; part < parts; ++part) {
    for (std::int64_t n = 0; n < to.columns; ++n) {
      const std::int64_t at = part * to.part_size + n * to.record_step;
      std::fill_n(to.here + at, pairs ? 16 : to.channels, bf16{});
      if (pairs) std::fill_n(to.above + at, 16, bf16{});
    }
  }
}

// Makes row `row` of the padded images from `count` of them. Their columns of padding are zero.
template <class T>
void fill_row(const AmxConvPlan& p, const T* images, std::int64_t count, std::int64_t row,
              bf16* records) {
  const std::int64_t record_step = p.images * p.record, from_row = row - p.pad_h;
  const auto kept = [&](std::int64_t r) {
    return records + (r & (p.kept_rows - 1)) * p.row_size() + p.pad_w * record_step;
  };
  RowCopy to{p.source_w, p.source_c, record_step, p.part_size(), kept(row), kept(row - 1) + 16};
  const bool outside = from_row < 0 || from_row >= p.source_h;
  for (std::int64_t n = 0; n < count; ++n, to.here += p.record, to.above += p.record) {
    const auto fill = [&]<bool pairs>() {
      if (outside) return clear_row<pairs>(p.parts, to);
      copy_row<pairs>(images + (n * p.source_h + from_row) * p.source_w * p.source_c, to);
    };
    p.pairs_rows ? fill.template operator()<true>() : fill.template operator()<false>();
  }
}

template <class T>
class AmxConv final : public SliceConv<T> {
 public:
  AmxConv(const Conv2dShape& slice, Conv2dPass pass)
      : plan_(slice, pass, parts), sources_(pass == Conv2dPass::tangent ? 2 : 1) {}

  std::size_t scratch_bytes() const override {
    return 2 * sums_bytes + std::size_t(sources_) * records_bytes();
  }

  void forward(const T* x, ConvPack weight, T* y, std::byte* scratch) const override {
    const Source source{x, static_cast<const bf16*>(weight.data)};
    run(&source, 1, y, scratch);
  }
  void backward_data(const T* dy, ConvPack weight, T* dx, std::byte* scratch) const override {
    forward(dy, weight, dx, scratch);
  }
  void tangent(const T* x, ConvPack weight, const T* x_tangent, ConvPack weight_tangent,
               T* y_tangent, std::byte* scratch) const override {
    const Source sources[] = {{x_tangent, static_cast<const bf16*>(weight.data)},
                              {x, static_cast<const bf16*>(weight_tangent.data)}};
    run(sources, 2, y_tangent, scratch);
  }

 private:
  static constexpr int parts = amx_parts<T>;
  static constexpr std::int64_t tiles_at_once = AmxConvPlan::tiles_at_once;
  static constexpr std::size_t sums_bytes = tiles_at_once * sums_in_tile * sizeof(float);

  struct Source {
    const T* images;
    const bf16* pack;
  };

  std::size_t records_bytes() const { return padded_bytes<bf16>(parts * plan_.part_size()); }

  void run(const Source* sources, int count, T* target, std::byte* scratch) const {
    const AmxConvPlan& p = plan_;
    bf16* const records = reinterpret_cast<bf16*>(scratch + 2 * sums_bytes);
    std::memset(static_cast<void*>(records), 0, std::size_t(count) * records_bytes());
    const std::int64_t source_size = p.source_h * p.source_w * p.source_c;
    const std::int64_t target_size = p.target_h * p.target_w * p.target_c;
    const amx::Tiles tiles;
    for (std::int64_t image = 0; image < p.batch; image += p.images) {
      Source of_images[2];
      for (int s = 0; s < count; ++s) {
        of_images[s] = {sources[s].images + image * source_size, sources[s].pack};
      }
      convolve(of_images, count,
               {target + image * target_size, std::min(p.images, p.batch - image)}, records,
               reinterpret_cast<float*>(scratch));
    }
  }

  // Some images, row by row: the rows that a block of outputs needs are copied before.
  void convolve(const Source* sources, int count, const Outputs<T>& to, bf16* records,
                float* sums) const {
    const AmxConvPlan& p = plan_;
    Operand operands[2];
    for (int s = 0; s < count; ++s) {
      operands[s] = {records + s * std::int64_t(records_bytes() / sizeof(bf16)), sources[s].pack};
    }
    const std::int64_t tiles = p.target_h * p.row_tiles;
    std::int64_t filled = 0;  // rows of the padded images
    Pending pending{sums, sums + tiles_at_once * sums_in_tile};
    for (std::int64_t tile = 0, pixels; tile < tiles; tile += pixels) {
      pixels = tile + tiles_at_once <= tiles ? tiles_at_once : 1;
      const std::int64_t last = (tile + pixels - 1) / p.row_tiles;
      for (; filled < last + p.kernel_h; ++filled) {
        for (int s = 0; s < count; ++s) {
          fill_row(p, sources[s].images, to.images, filled, operands[s].records);
        }
      }
      for (std::int64_t block = 0; block < p.target_blocks; ++block) {
        if (pixels == tiles_at_once) {
          step<tiles_at_once>(operands, count, tile, block, to, pending);
        } else {
          step<1>(operands, count, tile, block, to, pending);
        }
      }
    }
    store(pending, to);
  }

  // Sums on their way to the target: they go there when the next ones are being made, as reading
  // what tiles have just stored stalls.
  struct Pending {
    float *sums, *next;
    std::int64_t tile = 0, pixels = 0, block = 0;
  };

  void store(const Pending& pending, const Outputs<T>& to) const {
    for (std::int64_t t = 0; t < pending.pixels; ++t) {
      store_tile(plan_, pending.sums + t * sums_in_tile, pending.tile + t, pending.block, to);
    }
  }

  template <int pixels>
  void step(const Operand* operands, int count, std::int64_t tile, std::int64_t block,
            const Outputs<T>& to, Pending& pending) const {
    TilePlace places[pixels];
    for (int t = 0; t < pixels; ++t) {
      places[t] = {(tile + t) / plan_.row_tiles, (tile + t) % plan_.row_tiles * 16 * plan_.record};
    }
    accumulate<parts, pixels>(plan_, operands, count, places, block);
    if constexpr (std::is_same_v<T, float>) {
      if (plan_.images == 1 && plan_.target_c % 16 == 0) {
        const std::int64_t pixel = plan_.target_c * std::int64_t(sizeof(float));
        for_each<pixels>([&]<int n>() {
          amx::store<n>(to.target + (tile + n) * 16 * plan_.target_c + block * 16, pixel);
        });
        return;
      }
    }
    store(pending, to);
    for_each<pixels>([&]<int n>() { amx::store<n>(pending.next + n * sums_in_tile, row_bytes); });
    pending = {pending.next, pending.sums, tile, pixels, block};
  }

  AmxConvPlan plan_;
  int sources_;
};

}  // namespace

template <class T>
SliceConvPtr<T> amx_slice_conv(const Conv2dShape& slice, Conv2dPass pass) {
  if (!has_amx_bf16() || !AmxConvPlan::fits(slice, pass, amx_parts<T>)) return nullptr;
  return std::make_shared<AmxConv<T>>(slice, pass);
}

template SliceConvPtr<bf16> amx_slice_conv(const Conv2dShape&, Conv2dPass);
template SliceConvPtr<float> amx_slice_conv(const Conv2dShape&, Conv2dPass);

}  // namespace ek::kernels::cpu

#else

namespace ek::kernels::cpu {
template <class T>
SliceConvPtr<T> amx_slice_conv(const Conv2dShape&, Conv2dPass) {
  return nullptr;
}
template SliceConvPtr<bf16> amx_slice_conv(const Conv2dShape&, Conv2dPass);
template SliceConvPtr<float> amx_slice_conv(const Conv2dShape&, Conv2dPass);
}  // namespace ek::kernels::cpu
#endif
