#include "kernels/base/versions.h"
#include "kernels/cuda/norm_conv/conv_norm.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/simt/conv_run.h"

using namespace ek::kernels;
using namespace ek::simt::test;
using ek::bf16;
using ek::simt::Guarded;
using ek::test::number;
using ek::test::random_numbers;
using ek::test::same_bits;

namespace {

// What norm_conv_vjp may be given and asked for.
struct Wishes {
  bool relu = true, shortcut = false, kept = true;  // shortcut: in y's place, and dshortcut
  bool dact = true, statistics = true;
  int shift = 0;  // elements that images are past an aligned address
};

template <class T>
struct Gradients {
  std::vector<T> dy, dshortcut;
  std::vector<float> channels;  // dmean, dvar, dgamma, dbeta
  std::vector<float> dweight;
};

template <class T>
struct Problem {
  Conv2dShape conv;
  Wishes wish;
  NormConvShape shape;
  Input<T> y, shortcut, dact, dout, out;
  Input<float> mean, var, gamma, beta, out_mean, dout_mean, dout_var;
  Input<T> act;
  SimtPack<T> weight;

  Problem(const Conv2dShape& s, const Wishes& w)
      : conv(s),
        wish(w),
        shape{s, 1e-5, w.relu},
        y(image(s.input_size(), 1)),
        shortcut(image(s.input_size(), 2)),
        dact(image(s.input_size(), 3)),
        dout(image(s.output_size(), 4)),
        out(image(s.output_size(), 5)),
        mean(random_numbers<float>(s.in_c, 6)),
        var(variances(s.in_c, 7)),
        gamma(random_numbers<float>(s.in_c, 8)),
        beta(random_numbers<float>(s.in_c, 9)),
        out_mean(random_numbers<float>(s.out_c, 10)),
        dout_mean(random_numbers<float>(s.out_c, 11)),
        dout_var(random_numbers<float>(s.out_c, 12)),
        act(activation()),
        weight(s, Conv2dPass::backward_data, random_numbers<float>(s.weight_size(), 13)) {}

  std::vector<T> image(std::int64_t size, std::uint32_t seed) const {
    return shifted(random_numbers<T>(size, seed), wish.shift);
  }
  std::vector<T> activation() const {
    Guarded<T> to(y.size(), "act");
    const NormConvInput<T> in = input();
    norm_act_forward<Simt, T>({},
                              {conv.batch * conv.in_h * conv.in_w, conv.in_c, shape.eps, wish.relu,
                               in.mean, in.var, in.gamma, in.beta},
                              in.y, in.shortcut, to.data() + wish.shift);
    std::vector<T> values = to.values();
    std::fill_n(values.begin(), wish.shift, T{});
    return values;
  }

  const T* if_given(bool given, const Input<T>& image) const {
    return given ? image.data() + wish.shift : nullptr;
  }
  NormConvInput<T> input() const {
    return {if_given(true, y), if_given(wish.shortcut, shortcut),
            mean.data(),       var.data(),
            gamma.data(),      beta.data()};
  }

  // By the version in force.
  Gradients<T> run() const {
    const auto size = std::size_t(conv.input_size() + wish.shift);
    const auto channels = std::size_t(conv.in_c);
    Guarded<T> dy(size, "dy"), dshortcut(size, "dshortcut");
    Guarded<float> dweight(std::size_t(conv.weight_size()), "dweight"),
        of_channels(4 * channels, "dmean, dvar, dgamma, dbeta");
    const std::size_t bytes = norm_conv_workspace_bytes<Simt, T>(shape, NormConvPass::vjp);
    Guarded<double> scratch((bytes + 7) / 8, "workspace");
    float* const sums = of_channels.data();
    norm_conv_vjp<Simt, T>(
        {}, shape, input(), {if_given(wish.kept, act), if_given(true, out), out_mean.data()},
        weight,
        {if_given(wish.dact, dact), if_given(true, dout),
         wish.statistics ? dout_mean.data() : nullptr, wish.statistics ? dout_var.data() : nullptr},
        {dy.data() + wish.shift, wish.shortcut ? dshortcut.data() + wish.shift : nullptr, sums,
         sums + channels, sums + 2 * channels, sums + 3 * channels, dweight.data()},
        {scratch.data(), bytes});
    const auto image_of = [&](const Guarded<T>& buffer) {
      std::vector<T> values = buffer.values();
      values.erase(values.begin(), values.begin() + wish.shift);
      return values;
    };
    return {image_of(dy), image_of(dshortcut), of_channels.values(), dweight.values()};
  }
};

// How far the channels' gradients are from sums in double, at worst, in units of the magnitudes of
// their terms; `gradient` is that of act without dact.
template <class T>
double channels_error(const Problem<T>& c, const std::vector<T>& gradient,
                      const std::vector<float>& got) {
  const auto channels = std::size_t(c.conv.in_c), rows = gradient.size() / channels;
  const std::vector<T> y = c.y.values(), act = c.act.values(), dact = c.dact.values();
  const auto shift = std::size_t(c.wish.shift);
  double worst = 0;
  for (std::size_t i = 0; i < channels; ++i) {
    double sums[2] = {0, 0}, magnitudes[2] = {0, 0};
    const double mean = c.mean.values()[i];
    for (std::size_t at = i; at < rows * channels; at += channels) {
      if (c.wish.relu && !(number(act[shift + at]) > 0)) continue;
      const double g = number(gradient[at]) + (c.wish.dact ? number(dact[shift + at]) : 0);
      const double d = g * (number(y[shift + at]) - mean);
      sums[0] += g;
      sums[1] += d;
      magnitudes[0] += std::abs(g);
      magnitudes[1] += std::abs(d);
    }
    const double r = 1 / std::sqrt(double(c.var.values()[i]) + c.shape.eps);
    const double scale = c.gamma.values()[i] * r, of_var = -0.5 * scale * r * r;
    const double factors[4] = {-scale, of_var, r, 1};
    for (std::size_t k = 0; k < 4; ++k) {
      const std::size_t which = k == 1 || k == 2;
      const double off = std::abs(got[k * channels + i] - factors[k] * sums[which]);
      const double error = off == 0 ? 0 : off / (std::abs(factors[k]) * magnitudes[which]);
      if (!(error <= worst)) worst = error;
    }
  }
  return worst;
}

// one_launch: whether the version joined serves the shape, too; lean: that as well.
template <class T>
void check(const Conv2dShape& conv, const Wishes& wish, bool one_launch, bool lean = false) {
  INFO(describe(conv) << ", relu " << wish.relu << ", shortcut " << wish.shortcut << ", kept "
                      << wish.kept << ", dact " << wish.dact << ", statistics " << wish.statistics
                      << ", shift " << wish.shift << ", products " << int(conv.products));
  const Problem<T> c(conv, wish);
  REQUIRE(ek::kernels::simt_target::joins_norm_conv_vjp<T>(c.shape) == one_launch);
  // The versions of the parts that the fused passes must equal bit by bit.
  const ScopedVersion halo("conv2d_backward_data", "halo"), mma("conv2d_backward_weights", "mma");
  Gradients<T> got;
  for (const std::string_view version : {"fused", "joined", "lean"}) {
    if ((version == "joined" && !one_launch) || (version == "lean" && !lean)) continue;
    INFO(version);
    const ScopedVersion scope_of_version("norm_conv_vjp", version);
    for (const ek::simt::Options& options : some_orders()) {
      const ek::simt::ScopedOptions scope(options);
      const Gradients<T> now = c.run();
      if (got.dy.empty()) got = now;
      REQUIRE(same_bits(now.dy, got.dy));
      REQUIRE(same_bits(now.dshortcut, got.dshortcut));
      REQUIRE(same_bits(now.channels, got.channels));
      REQUIRE(same_bits(now.dweight, got.dweight));
    }
  }
  const ScopedVersion plain("norm_conv_vjp", "plain");
  const Gradients<T> expected = c.run();
  REQUIRE(same_bits(got.dy, expected.dy));
  REQUIRE(same_bits(got.dshortcut, expected.dshortcut));
  REQUIRE(same_bits(got.dweight, expected.dweight));

  // The gradient of act, from which the channels' gradients follow.
  Guarded<T> dout(c.dout.size(), "dout with statistics"), gradient(c.y.size(), "gradient of act");
  if (wish.statistics) {
    channel_stats_vjp<Simt, T>({}, conv.output_size() / conv.out_c, conv.out_c,
                               c.out.data() + wish.shift, c.out_mean.data(), c.dout_mean.data(),
                               c.dout_var.data(), c.dout.data() + wish.shift,
                               dout.data() + wish.shift);
  }
  conv2d_backward_data<Simt, T>({}, conv,
                                (wish.statistics ? dout.data() : c.dout.data()) + wish.shift,
                                c.weight, gradient.data() + wish.shift, {});
  std::vector<T> of_act = gradient.values();
  of_act.erase(of_act.begin(), of_act.begin() + wish.shift);
  // d + dact is rounded once, its product with y - mean twice more; a thread adds up to 16 of them,
  // then come 4 lanes' levels and 4 warps, all in float: below 32 roundings. The rest is in double.
  REQUIRE(channels_error(c, of_act, got.channels) <= 32 * 0x1p-24);
}

}  // namespace

TEMPLATE_TEST_CASE("simt norm_conv cotangents in two passes or one launch equal their parts", "",
                   float, bf16) {
  using T = TestType;
  for (const auto products : products_of<T>()) {
    const auto on = [&](Conv2dShape s, const Wishes& wish, bool one_launch) {
      s.products = products;
      check<T>(s, wish, one_launch);
    };
    on({2, 5, 6, 16, 16, 3, 3, 1, 1, 1, 1}, {.shortcut = true}, true);
    on({1, 5, 6, 8, 16, 3, 3, 1, 1, 1, 1}, {.shortcut = true, .kept = false, .shift = 1}, true);
    on({1, 5, 4, 24, 40, 3, 3, 1, 1, 1, 1}, {.shortcut = true}, true);
    on({2, 3, 4, 20, 24, 3, 3, 1, 1, 1, 1}, {.kept = false}, true);
    if (products == FloatProducts::exact && std::is_same_v<T, float>) continue;
    on({1, 18, 17, 16, 8, 3, 3, 1, 1, 1, 1}, {.kept = false, .dact = false}, true);  // four tiles
    on({3, 20, 17, 8, 8, 3, 3, 1, 1, 1, 1}, {.statistics = false}, true);  // more than 8 splits
    on({1, 15, 7, 8, 16, 3, 3, 1, 1, 2, 2}, {.kept = false}, true);        // out is larger than y
    on({3, 5, 5, 3, 5, 3, 3, 1, 1, 1, 1}, {.statistics = false}, true);
    on({2, 5, 5, 33, 20, 3, 3, 1, 1, 0, 0}, {.kept = false, .dact = false, .statistics = false},
       true);
    on({1, 4, 4, 24, 16, 3, 3, 1, 1, 1, 1}, {}, false);  // tiles that do not belong together
    on({3, 4, 4, 40, 16, 1, 1}, {.relu = false, .shortcut = true, .dact = false}, false);
    on({5, 4, 4, 64, 72, 1, 1}, {.shortcut = true, .kept = false}, false);
    on({2, 5, 5, 16, 8, 3, 3, 1, 1, 1, 1, 2}, {.kept = false}, true);
    on({1, 6, 5, 4, 17, 3, 5, 1, 1, 0, 2}, {.kept = false, .shift = 1}, false);
    on({1, 17, 3, 70, 70, 1, 1, 1, 1, 0, 0, 70}, {.dact = false}, false);  // many tiles of channels
  }
}

TEMPLATE_TEST_CASE("simt norm_conv lean cotangents equal their parts", "[lean]", float, bf16) {
  using T = TestType;
  for (const auto products : products_of<T>()) {
    const bool served = std::is_same_v<T, bf16> || products == FloatProducts::tf32;
    const auto on = [&](Conv2dShape s, const Wishes& wish) {
      s.products = products;
      check<T>(s, wish, true, served);
    };
    on({1, 32, 32, 16, 16, 3, 3, 1, 1, 1, 1}, {.shortcut = true});
    on({1, 16, 16, 32, 32, 3, 3, 1, 1, 1, 1}, {.kept = false});
    on({2, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1}, {.shortcut = true, .dact = false});
    if (!served) continue;
    on({3, 32, 32, 16, 16, 3, 3, 1, 1, 1, 1}, {.kept = false, .statistics = false});
    on({5, 16, 16, 32, 32, 3, 3, 1, 1, 1, 1}, {.relu = false});  // more tiles than splits
    on({6, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1}, {.shortcut = true, .kept = false});
  }
}

TEST_CASE("simt norm_conv cotangents of the layers of ResNet-32 are one launch") {
  const Conv2dShape layers[] = {{128, 32, 32, 16, 16, 3, 3, 1, 1, 1, 1},
                                {128, 16, 16, 32, 32, 3, 3, 1, 1, 1, 1},
                                {128, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1}};
  for (const Conv2dShape& layer : layers) {
    INFO(describe(layer));
    REQUIRE(ek::kernels::simt_target::joins_norm_conv_vjp<float>({layer}));
    REQUIRE(ek::kernels::simt_target::joins_norm_conv_vjp<bf16>({layer}));
  }
}

TEST_CASE("simt norm_conv cotangents in two passes refuse what they do not serve") {
  const ScopedVersion fused("norm_conv_vjp", "fused");
  float number = 0;
  const auto refused = [&](const NormConvShape& shape, float* dy) {
    return error_of([&] {
      norm_conv_vjp<Simt, float>({}, shape, {}, {}, {}, {},
                                 {dy, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr}, {});
    });
  };
  const NormConvShape served{{1, 4, 4, 8, 16, 1, 1}};
  REQUIRE(contains(refused(served, nullptr), "norm_conv_vjp, fused: a gradient of y"));
  REQUIRE(contains(refused(served, &number), "norm_conv_vjp, fused: a larger workspace"));
  NormConvShape first_layer = served, no_images = served;
  first_layer.normalizes = false;
  no_images.conv.batch = 0;
  const NormConvShape strided{{1, 4, 4, 8, 16, 3, 3, 2, 2, 1, 1}};
  const NormConvShape padded{{1, 4, 4, 8, 16, 1, 1, 1, 1, 1, 1}};  // rows that no tile meets
  const NormConvShape large{{1, 40, 40, 64, 64, 33, 33, 1, 1, 1, 1}};
  for (const NormConvShape& shape : {first_layer, no_images, strided, padded, large}) {
    INFO(describe(shape.conv));
    REQUIRE(contains(refused(shape, &number), "a shape that fuses_norm_conv_vjp names"));
  }
  {
    const ScopedVersion lean("norm_conv_vjp", "lean");
    const NormConvShape another{{2, 8, 8, 32, 32, 3, 3, 1, 1, 1, 1}};
    REQUIRE(contains(refused(another, &number), "a call that leans_norm_conv_vjp names"));
  }
  const ScopedVersion joined("norm_conv_vjp", "joined");
  REQUIRE(contains(refused(served, &number), "a shape that joins_norm_conv_vjp names"));
}
