// The batch-norm kernels on bf16 against double on the same numbers: what a kernel stores in bf16
// is rounded once, what it sums is float.
#include "tests/catch.h"
#include "tests/kernels/norm_run.h"

using namespace ek::kernels;
using namespace ek::test;
using ek::bf16;

namespace {

using Numbers = std::vector<double>;
using Halves = std::vector<bf16>;

const std::vector<std::pair<std::int64_t, std::int64_t>> kShapes{
    {1, 5},     {3, 16}, {7000, 16}, {1025, 32},  {300, 64}, {9, 256},
    {20001, 3}, {6, 1},  {777, 17},  {1001, 100}, {65, 513}};

// Statistics of the first case, with var raised so that one row (var 0) does not make r = 300.
NormCase<bf16> case_with_statistics(std::int64_t rows, std::int64_t channels, bool relu) {
  NormCase<bf16> c(rows, channels, relu);
  c.run_stats();
  for (float& v : c.var) v += 0.1f;
  return c;
}

// Beyond the rounding to bf16 there is the float arithmetic before it: a dozen roundings of 2^-24
// of numbers up to 10 or so, which in the worst case also tip the last one over (then by 2^-24 of
// the number more than half a step, not by a step).
constexpr double kFloatError = 1e-5;

template <class T>
Numbers act_jvp(const NormCase<T>& c, const std::vector<T>& act, const std::vector<T>& y_tangent,
                const std::vector<T>& shortcut_tangent) {
  std::vector<T> out(act.size());
  norm_act_jvp<Cpu, T>({}, c.params(), c.y.data(), act.data(),
                       {y_tangent.data(), shortcut_tangent.data(), c.beta.data(), c.gamma.data(),
                        c.beta.data(), c.gamma.data()},
                       out.data());
  return numbers(out);
}

}  // namespace

TEST_CASE("bf16 statistics and their tangents are sums in float of the numbers as stored") {
  for (const auto& [rows, channels] : kShapes) {
    CAPTURE(rows, channels);
    NormCase<bf16> c(rows, channels, false);
    NormCase<double> exact = c.exact();
    c.run_stats();
    exact.run_stats();
    // As for float: a few roundings of 2^-23 of numbers of size 1, none of bf16's 2^-7.
    REQUIRE(max_error(c.mean, exact.mean, 1) <= 16 * 0x1p-23);
    REQUIRE(max_error(c.var, exact.var, 1) <= 16 * 0x1p-23);

    const Halves tangent = random_numbers<bf16>(rows * channels, 21);
    const auto [mean_tangent, var_tangent] = c.stats_jvp(tangent);
    const auto [exact_mean_tangent, exact_var_tangent] = exact.stats_jvp(numbers(tangent));
    REQUIRE(max_error(mean_tangent, exact_mean_tangent, 1) <= 16 * 0x1p-23);
    REQUIRE(max_error(var_tangent, exact_var_tangent, 1) <= 32 * 0x1p-23);
  }
}

TEST_CASE("bf16 cotangents of the statistics") {
  for (const auto& [rows, channels] : kShapes) {
    CAPTURE(rows, channels);
    const NormCase<bf16> c = case_with_statistics(rows, channels, false);
    const NormCase<double> exact = c.exact();
    Halves dy(c.y.size()), sum = c.shortcut;
    Numbers exact_dy(dy.size()), exact_sum(dy.size());
    const auto run = [&, rows = rows, channels = channels](
                         const bf16* dy_in, bf16* out, const double* exact_in, double* exact_out) {
      channel_stats_vjp<Cpu, bf16>({}, rows, channels, c.y.data(), c.mean.data(), c.gamma.data(),
                                   c.beta.data(), dy_in, out);
      channel_stats_vjp<Cpu, double>({}, rows, channels, exact.y.data(), exact.mean.data(),
                                     exact.gamma.data(), exact.beta.data(), exact_in, exact_out);
    };
    run(nullptr, dy.data(), nullptr, exact_dy.data());
    REQUIRE(error_beyond_rounding(dy, exact_dy) <= kFloatError);
    run(sum.data(), sum.data(), exact.shortcut.data(), exact_sum.data());
    REQUIRE(error_beyond_rounding(sum, exact_sum) <= kFloatError);
  }
}

TEST_CASE("bf16 norm_act: activation, tangent and cotangents") {
  for (const auto& [rows, channels] : kShapes) {
    for (const bool relu : {false, true}) {
      CAPTURE(rows, channels, relu);
      NormCase<bf16> c = case_with_statistics(rows, channels, relu);
      NormCase<double> exact = c.exact();
      const Halves act = c.forward();
      REQUIRE(error_beyond_rounding(act, exact.forward()) <= kFloatError);

      // The derivatives take the mask from the activation as stored: the same on both sides.
      const Numbers same_mask = numbers(act);
      const Halves dact = random_numbers<bf16>(rows * channels, 24);
      const Halves tangent = random_numbers<bf16>(rows * channels, 25);
      Halves out(act.size());
      const Numbers act_tangent = act_jvp(c, act, tangent, dact);
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = nearest<bf16>(act_tangent[i]);
      REQUIRE(numbers(out) == act_tangent);
      const Numbers exact_tangent = act_jvp(exact, same_mask, numbers(tangent), numbers(dact));
      REQUIRE(error_beyond_rounding(out, exact_tangent) <= 10 * kFloatError);  // r^3 is up to 30

      const auto r = c.vjp(act, dact);
      const auto reference = exact.vjp(same_mask, numbers(dact));
      REQUIRE(error_beyond_rounding(r.dy, reference.dy) <= kFloatError);
      REQUIRE(numbers(r.dshortcut) == reference.dshortcut);
      // Sums in float over 256 numbers a lane: relative to the square root of their number.
      const double floor = std::max(1.0, std::sqrt(double(rows)));
      REQUIRE(max_error(r.dbeta, reference.dbeta, floor) <= 1e-5);
      REQUIRE(max_error(r.dgamma, reference.dgamma, floor) <= 1e-5);
      REQUIRE(max_error(r.dmean, reference.dmean, 3 * floor) <= 1e-5);
      REQUIRE(max_error(r.dvar, reference.dvar, 15 * floor) <= 1e-5);
    }
  }
}

TEST_CASE("the mask of bf16 derivatives is the stored activation, whatever y says") {
  const std::int64_t rows = 67, channels = 16;
  NormCase<bf16> c = case_with_statistics(rows, channels, true);
  // Stored zeros of both signs, the smallest normal number, a NaN and negative numbers; none of
  // them belongs to y.
  const double tiny = 0x1p-126, nan = std::numeric_limits<double>::quiet_NaN();
  const double stored[] = {0.0, -0.0, tiny, -tiny, 1.0, -1.0, nan};
  Halves act(c.y.size());
  for (std::size_t i = 0; i < act.size(); ++i) act[i] = nearest<bf16>(stored[i % 7]);
  const Halves dact = random_numbers<bf16>(rows * channels, 26);
  const auto r = c.vjp(act, dact);
  const Numbers tangent = act_jvp(c, act, dact, dact);
  for (std::size_t i = 0; i < act.size(); ++i) {
    const bool passes = i % 7 == 2 || i % 7 == 4;
    CAPTURE(i);
    REQUIRE(number(r.dshortcut[i]) == (passes ? number(dact[i]) : 0));
    REQUIRE((number(r.dy[i]) != 0) == passes);
    REQUIRE((tangent[i] != 0) == passes);
  }
}
