#include "kernels/cuda/norm_conv/conv_norm.h"

#include "kernels/base/versions.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/simt/conv_run.h"

using namespace ek::kernels;
using namespace ek::simt::test;
using ek::bf16;
using ek::test::random_numbers;
using ek::test::same_bits;
namespace fused = ek::kernels::simt_target;

namespace {

// What norm_conv_forward may be asked for.
struct Wishes {
  bool normalizes = true, relu = true, shortcut = false, act = true, statistics = true;
  int shift = 0;  // elements that images are past an aligned address
};

// lean: by the version of that name, which knows three shapes, instead of the fused one.
template <class T>
void check(const Conv2dShape& conv, const Wishes& wish, bool lean = false) {
  INFO(describe(conv) << ", normalizes " << wish.normalizes << ", relu " << wish.relu
                      << ", shortcut " << wish.shortcut << ", act " << wish.act << ", statistics "
                      << wish.statistics << ", shift " << wish.shift << ", products "
                      << int(conv.products));
  const NormConvShape shape{conv, 1e-5, wish.relu, wish.normalizes};
  REQUIRE(fused::fuses_norm_conv<T>(shape, wish.act));
  const auto size = std::size_t(conv.input_size()), out_size = std::size_t(conv.output_size());
  const int shift = wish.shift;
  const Input<T> y(shifted(random_numbers<T>(conv.input_size(), 1), shift), "y");
  const Input<T> shortcut(shifted(random_numbers<T>(conv.input_size(), 2), shift), "shortcut");
  const Input<float> mean(random_numbers<float>(conv.in_c, 3), "mean"),
      var(variances(conv.in_c, 4), "var"), gamma(random_numbers<float>(conv.in_c, 5), "gamma"),
      beta(random_numbers<float>(conv.in_c, 6), "beta");
  const SimtPack<T> weight(conv, Conv2dPass::forward, random_numbers<float>(conv.weight_size(), 7));
  const NormConvInput<T> input{y.data() + shift, wish.shortcut ? shortcut.data() + shift : nullptr,
                               mean.data(),      var.data(),
                               gamma.data(),     beta.data()};

  std::vector<T> act;
  std::vector<float> statistics;
  const auto out = in_all_orders<T>(out_size + std::size_t(shift), shift, [&](T* to) {
    ek::simt::Guarded<T> kept(size + std::size_t(shift), "act");
    ek::simt::Guarded<float> of_out(std::size_t(2 * conv.out_c), "statistics");
    ek::simt::Guarded<float> scratch((lean ? fused::lean_norm_conv_workspace_bytes<T>(shape)
                                           : fused::fused_norm_conv_workspace_bytes<T>(shape)) /
                                         4,
                                     "workspace");
    float* const first = wish.statistics ? of_out.data() : nullptr;
    const NormConvOutput<T> output{wish.act && wish.normalizes ? kept.data() + shift : nullptr, to,
                                   first, wish.statistics ? first + conv.out_c : nullptr};
    REQUIRE(fused::leans_norm_conv<T>(shape, input, output) == lean);
    const auto run = lean ? &fused::lean_norm_conv_forward<T> : &fused::fused_norm_conv_forward<T>;
    run({}, shape, input, weight, output, {scratch.data(), scratch.size() * 4});
    std::vector<T> of_act = kept.values();
    of_act.erase(of_act.begin(), of_act.begin() + shift);
    if (act.empty()) act = of_act, statistics = of_out.values();
    REQUIRE(same_bits(of_act, act));
    REQUIRE(same_bits(of_out.values(), statistics));
  });

  // The plain passes, by the kernels that the fused one must equal bit by bit.
  const NormParams<T> params{conv.batch * conv.in_h * conv.in_w,
                             conv.in_c,
                             1e-5,
                             wish.relu,
                             mean.data(),
                             var.data(),
                             gamma.data(),
                             beta.data()};
  ek::simt::Guarded<T> plain_act(size, "plain act"), plain_out(out_size, "plain out");
  if (wish.normalizes) {
    norm_act_forward<Simt, T>({}, params, y.data() + shift, input.shortcut, plain_act.data());
    if (wish.act) REQUIRE(same_bits(act, plain_act.values()));
  }
  const ScopedVersion halo("conv2d_forward", "halo");
  conv2d_forward<Simt, T>({}, conv, wish.normalizes ? plain_act.data() : y.data() + shift, weight,
                          plain_out.data(), {});
  REQUIRE(same_bits(out, plain_out.values()));
  if (!wish.statistics) return;

  // Sums of at most 256 numbers of a tile in float, the rest in double: eight of 32 in order and
  // one more, about 40 roundings of numbers of the size of the largest.
  const auto rows = std::int64_t(out_size) / conv.out_c;
  for (std::int64_t c = 0; c < conv.out_c; ++c) {
    double sum = 0, squares = 0, largest = 0;
    for (std::int64_t r = 0; r < rows; ++r) {
      const double v = ek::test::number(out[std::size_t(r * conv.out_c + c)]);
      sum += v;
      largest = std::max(largest, std::abs(v));
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      const double v = ek::test::number(out[std::size_t(r * conv.out_c + c)]) - sum / double(rows);
      squares += v * v;
    }
    const double tolerance = 40 * 0x1p-24;
    REQUIRE(std::abs(statistics[std::size_t(c)] - sum / double(rows)) <= tolerance * largest);
    REQUIRE(std::abs(statistics[std::size_t(conv.out_c + c)] - squares / double(rows)) <=
            4 * tolerance * largest * largest);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("simt norm_conv in one pass equals its parts", "", float, bf16) {
  using T = TestType;
  for (const auto products : products_of<T>()) {
    const auto on = [&](Conv2dShape s, const Wishes& wish) {
      s.products = products;
      check<T>(s, wish);
    };
    on({1, 18, 17, 16, 16, 3, 3, 1, 1, 1, 1}, {.shortcut = true});  // four tiles
    if (products == FloatProducts::exact && std::is_same_v<T, float>) continue;
    on({2, 5, 6, 3, 5, 3, 3, 1, 1, 1, 1}, {.normalizes = false});  // the first layer
    on({3, 9, 8, 16, 40, 3, 3, 2, 2, 1, 1}, {});
    on({3, 4, 4, 40, 16, 1, 1}, {.relu = false, .shortcut = true});
    on({3, 4, 4, 40, 16, 1, 1}, {.act = false, .statistics = false});
    on({2, 6, 5, 8, 24, 3, 3, 1, 1, 1, 1}, {.shortcut = true, .shift = 1});
    on({2, 5, 5, 12, 20, 3, 3, 1, 1, 1, 1, 2}, {.shortcut = true});
    on({2, 7, 7, 16, 16, 1, 1, 2, 2}, {.act = false});  // inputs that no window meets
    on({1, 17, 3, 70, 70, 1, 1, 1, 1, 0, 0, 70}, {});   // more tiles of channels than tickets
    on({1, 4, 5, 12, 34, 1, 1, 1, 1, 0, 0, 2}, {});     // a group that begins at an odd channel
    on({89, 17, 3, 4, 32, 1, 1}, {.act = false});       // many tiles, cut at all borders
  }
}

TEMPLATE_TEST_CASE("simt norm_conv lean equals its parts", "[lean]", float, bf16) {
  using T = TestType;
  for (const auto products : products_of<T>()) {
    const auto on = [&](Conv2dShape s, const Wishes& wish) {
      s.products = products;
      check<T>(s, wish, true);
    };
    on({1, 32, 32, 16, 16, 3, 3, 1, 1, 1, 1}, {.shortcut = true});
    on({1, 16, 16, 32, 32, 3, 3, 1, 1, 1, 1}, {});
    on({4, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1}, {.shortcut = true});  // two images side by side
    if (products == FloatProducts::exact && std::is_same_v<T, float>) continue;
    on({2, 32, 32, 16, 16, 3, 3, 1, 1, 1, 1}, {.act = false});
    on({3, 16, 16, 32, 32, 3, 3, 1, 1, 1, 1}, {.shortcut = true, .act = false});
    on({2, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1}, {});
  }
}

TEST_CASE("simt norm_conv lean refuses what it does not serve") {
  using Output = NormConvOutput<float>;
  alignas(16) float numbers[8] = {};
  const Output output{nullptr, numbers, numbers, numbers};
  const auto refused = [&](const NormConvShape& shape, const Output& to) {
    return error_of(
        [&] { fused::lean_norm_conv_forward<float>({}, shape, {numbers}, {}, to, {}); });
  };
  const NormConvShape served{{2, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1}};
  REQUIRE(contains(refused(served, output), "lean: a larger workspace"));
  const Conv2dShape others[] = {{3, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1},  // half a tile of images
                                {2, 8, 8, 32, 32, 3, 3, 1, 1, 1, 1},
                                {2, 8, 8, 64, 64, 3, 3, 2, 2, 1, 1},
                                {2, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1, 2}};
  for (const Conv2dShape& s : others) {
    INFO(describe(s));
    REQUIRE(contains(refused({s}, output), "a call that leans_norm_conv names"));
    REQUIRE(fused::lean_norm_conv_workspace_bytes<float>({s}) == 0);
  }
  NormConvShape no_relu = served;
  no_relu.relu = false;
  REQUIRE(contains(refused(no_relu, output), "a call that leans_norm_conv names"));
  for (const Output& to : {Output{nullptr, numbers, nullptr, nullptr},
                           Output{nullptr, numbers + 1, numbers, numbers}}) {
    REQUIRE(contains(refused(served, to), "a call that leans_norm_conv names"));
  }
}

TEST_CASE("simt norm_conv in one pass refuses what it does not serve") {
  const NormConvShape uncovered{{2, 7, 7, 16, 16, 1, 1, 2, 2}};
  REQUIRE(fused::fuses_norm_conv<float>(uncovered, false));
  REQUIRE(!fused::fuses_norm_conv<float>(uncovered, true));
  const NormConvShape large{{1, 24, 24, 3, 2, 24, 24}};
  REQUIRE(!fused::fuses_norm_conv<float>(large, false));
  const auto refused = [](const NormConvShape& shape, const NormConvOutput<float>& output) {
    return error_of([&] { fused::fused_norm_conv_forward<float>({}, shape, {}, {}, output, {}); });
  };
  REQUIRE(contains(refused(large, {}), "a shape that fuses_norm_conv names"));
  float mean = 0;
  REQUIRE(contains(refused(uncovered, {nullptr, nullptr, &mean, &mean}), "a larger workspace"));
  const NormConvShape empty{{0, 7, 7, 16, 16, 1, 1}};
  REQUIRE(
      contains(refused(empty, {nullptr, nullptr, &mean, &mean}), "images for their statistics"));
  REQUIRE(refused(empty, {}).empty());
}
