#include "kernels/base/versions.h"
#include "kernels/cuda/norm_conv/conv_norm.h"
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

// What norm_conv_jvp may be given and asked for.
struct Wishes {
  bool normalizes = true, relu = true, shortcut = false;
  bool kept = true;                               // act
  bool y = true, channels = true, weight = true;  // the tangents that are not null
  bool act = true, statistics = true;             // the results
};

template <class A>
const A* if_wanted(bool wanted, const A* pointer) {
  return wanted ? pointer : nullptr;
}

template <class T>
struct Problem {
  Conv2dShape conv;
  Wishes wish;
  NormConvShape shape;
  Input<T> y, shortcut, y_tangent, shortcut_tangent, act, out;
  Input<float> mean, var, gamma, beta, mean_t, var_t, gamma_t, beta_t, out_mean;
  SimtPack<T> weight, weight_tangent;

  Problem(const Conv2dShape& s, const Wishes& w)
      : conv(s),
        wish(w),
        shape{s, 1e-5, w.relu, w.normalizes},
        y(random_numbers<T>(s.input_size(), 1)),
        shortcut(random_numbers<T>(s.input_size(), 2)),
        y_tangent(random_numbers<T>(s.input_size(), 3)),
        shortcut_tangent(random_numbers<T>(s.input_size(), 4)),
        act(activation()),
        out(random_numbers<T>(s.output_size(), 5)),
        mean(random_numbers<float>(s.in_c, 6)),
        var(variances(s.in_c, 7)),
        gamma(random_numbers<float>(s.in_c, 8)),
        beta(random_numbers<float>(s.in_c, 9)),
        mean_t(random_numbers<float>(s.in_c, 10)),
        var_t(random_numbers<float>(s.in_c, 11)),
        gamma_t(random_numbers<float>(s.in_c, 12)),
        beta_t(random_numbers<float>(s.in_c, 13)),
        out_mean(random_numbers<float>(s.out_c, 14)),
        weight(s, Conv2dPass::forward, random_numbers<float>(s.weight_size(), 15)),
        weight_tangent(s, Conv2dPass::forward, random_numbers<float>(s.weight_size(), 16)) {}

  NormParams<T> params(const float* m, const float* v, const float* g, const float* b) const {
    return {conv.batch * conv.in_h * conv.in_w, conv.in_c, 1e-5, wish.relu, m, v, g, b};
  }
  // Computed before the members that it is made of: from the same numbers.
  std::vector<T> activation() const {
    const Input<float> m(random_numbers<float>(conv.in_c, 6)), v(variances(conv.in_c, 7)),
        g(random_numbers<float>(conv.in_c, 8)), b(random_numbers<float>(conv.in_c, 9));
    ek::simt::Guarded<T> to(y.size(), "act");
    norm_act_forward<Simt, T>({}, params(m.data(), v.data(), g.data(), b.data()), y.data(),
                              if_wanted(wish.shortcut, shortcut.data()), to.data());
    return to.values();
  }

  NormConvInput<T> input() const {
    return {y.data(),     if_wanted(wish.shortcut, shortcut.data()),
            mean.data(),  var.data(),
            gamma.data(), beta.data()};
  }
  NormConvTangents<T> tangents() const {
    const bool c = wish.channels;
    return {if_wanted(wish.y, y_tangent.data()),
            if_wanted(wish.shortcut && wish.y, shortcut_tangent.data()),
            if_wanted(c, mean_t.data()),
            if_wanted(c, var_t.data()),
            if_wanted(c, gamma_t.data()),
            if_wanted(c, beta_t.data()),
            wish.weight ? ConvPack(weight_tangent) : ConvPack{}};
  }
  bool moves() const { return wish.y || (wish.normalizes && wish.channels); }
};

// The sums of a channel, against those of channel_stats_jvp, in units of their terms' magnitudes.
template <class T>
double statistics_error(const Problem<T>& c, const std::vector<T>& tangent,
                        const std::vector<float>& got) {
  const auto channels = c.conv.out_c, rows = std::int64_t(tangent.size()) / channels;
  const std::vector<T> out = c.out.values();
  const std::vector<float> mean = c.out_mean.values();
  double worst = 0;
  for (std::int64_t i = 0; i < channels; ++i) {
    double sums[2] = {0, 0}, magnitudes[2] = {0, 0};
    for (std::int64_t r = 0; r < rows; ++r) {
      const auto at = std::size_t(r * channels + i);
      const double t = ek::test::number(tangent[at]);
      const double d = 2 * t * (ek::test::number(out[at]) - mean[std::size_t(i)]);
      sums[0] += t;
      sums[1] += d;
      magnitudes[0] += std::abs(t);
      magnitudes[1] += std::abs(d);
    }
    for (int k = 0; k < 2; ++k) {
      const double off = std::abs(got[std::size_t(k * channels + i)] - sums[k] / double(rows));
      const double error = off / (magnitudes[k] / double(rows));
      if (!(error <= worst)) worst = error;
    }
  }
  return worst;
}

template <class T>
void check(const Conv2dShape& conv, const Wishes& wish) {
  INFO(describe(conv) << ", normalizes " << wish.normalizes << ", relu " << wish.relu
                      << ", shortcut " << wish.shortcut << ", kept " << wish.kept << ", y "
                      << wish.y << ", channels " << wish.channels << ", weight " << wish.weight
                      << ", products " << int(conv.products));
  const Problem<T> c(conv, wish);
  const auto size = std::size_t(conv.input_size()), out_size = std::size_t(conv.output_size());
  const bool act = wish.act && wish.normalizes && c.moves();
  std::vector<T> act_tangent;
  std::vector<float> statistics;
  const auto out = in_all_orders<T>(out_size, 0, [&](T* to) {
    ek::simt::Guarded<T> of_act(size, "act tangent");
    ek::simt::Guarded<float> of_out(std::size_t(2 * conv.out_c), "statistics");
    ek::simt::Guarded<float> scratch(fused::fused_norm_conv_workspace_bytes<T>(c.shape) / 4,
                                     "workspace");
    float* const first = wish.statistics ? of_out.data() : nullptr;
    fused::fused_norm_conv_jvp<T>(
        {}, c.shape, c.input(),
        {if_wanted(wish.kept, c.act.data()), c.out.data(), c.out_mean.data()}, c.weight,
        c.tangents(),
        {act ? of_act.data() : nullptr, to, first, first ? first + conv.out_c : nullptr},
        {scratch.data(), scratch.size() * 4});
    if (act_tangent.empty()) act_tangent = of_act.values(), statistics = of_out.values();
    REQUIRE(same_bits(of_act.values(), act_tangent));
    REQUIRE(same_bits(of_out.values(), statistics));
  });

  // The plain passes, which the fused one must equal bit by bit.
  ek::simt::Guarded<T> of_act(size, "plain act tangent"), of_out(out_size, "plain out tangent");
  const auto t = c.tangents();
  const T* x = wish.normalizes ? c.act.data() : c.y.data();
  const T* x_tangent = wish.normalizes ? of_act.data() : t.y;
  if (wish.normalizes && c.moves()) {
    norm_act_jvp<Simt, T>({}, c.params(c.mean.data(), c.var.data(), c.gamma.data(), c.beta.data()),
                          c.y.data(), c.act.data(),
                          {t.y, t.shortcut, t.mean, t.var, t.gamma, t.beta}, of_act.data());
    if (act) REQUIRE(same_bits(act_tangent, of_act.values()));
  }
  const ScopedVersion halo("conv2d_tangent", "halo");
  conv2d_tangent<Simt, T>({}, conv, x, c.weight, if_wanted(c.moves(), x_tangent), t.weight,
                          of_out.data(), {});
  REQUIRE(same_bits(out, of_out.values()));
  // 32 terms in order, then 8 sums, in float: 40 roundings of at most the sum of magnitudes.
  if (wish.statistics) REQUIRE(statistics_error(c, out, statistics) <= 40 * 0x1p-23);
}

}  // namespace

TEMPLATE_TEST_CASE("simt norm_conv tangent in one pass equals its parts", "", float, bf16) {
  using T = TestType;
  for (const auto products : products_of<T>()) {
    const auto on = [&](Conv2dShape s, const Wishes& wish) {
      s.products = products;
      check<T>(s, wish);
    };
    on({2, 5, 6, 16, 16, 3, 3, 1, 1, 1, 1}, {.shortcut = true});
    if (products == FloatProducts::exact && std::is_same_v<T, float>) continue;
    on({1, 18, 17, 8, 16, 3, 3, 1, 1, 1, 1}, {.kept = false});  // four tiles
    on({2, 5, 6, 3, 5, 3, 3, 1, 1, 1, 1}, {.normalizes = false});
    on({2, 5, 6, 3, 5, 3, 3, 1, 1, 1, 1}, {.normalizes = false, .y = false});
    on({3, 5, 8, 16, 40, 3, 3, 2, 2, 1, 1}, {.shortcut = true, .kept = false, .y = false});
    on({3, 4, 4, 40, 16, 1, 1}, {.relu = false, .shortcut = true, .channels = false});
    on({3, 4, 4, 8, 16, 1, 1}, {.kept = false, .y = false, .channels = false});
    on({2, 5, 5, 9, 20, 3, 3, 1, 1, 1, 1}, {.weight = false, .statistics = false});
  }
}

TEST_CASE("simt norm_conv tangent in one pass refuses what it does not serve") {
  const NormConvShape shape{{1, 4, 4, 8, 16, 1, 1}};
  const auto refused = [&](const NormConvOutput<float>& output, ConvPack weight_tangent) {
    return error_of([&] {
      fused::fused_norm_conv_jvp<float>(
          {}, shape, {}, {}, {},
          {nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, weight_tangent}, output, {});
    });
  };
  float number = 0;
  REQUIRE(contains(refused({}, {}), "one or more tangents"));
  REQUIRE(contains(refused({&number, nullptr, nullptr, nullptr}, {&number}),
                   "a tangent of the activation"));
}
