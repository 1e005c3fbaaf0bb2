// vjp and jvp of the batch-norm kernels: adjoint to each other, and derivatives of the forward
// pass.
#include "tests/catch.h"
#include "tests/kernels/norm_run.h"

using namespace ek::kernels;
using namespace ek::test;

namespace {

using Numbers = std::vector<double>;

const std::vector<std::pair<std::int64_t, std::int64_t>> kShapes{
    {1, 5}, {3, 16}, {7000, 16}, {200, 130}, {150, 1100}};

// A tangent of every input of norm_act.
struct Tangents {
  explicit Tangents(const NormCase<double>& c)
      : y(random_numbers<double>(c.rows * c.channels, 11)),
        shortcut(random_numbers<double>(c.rows * c.channels, 12)),
        mean(random_numbers<double>(c.channels, 13)),
        var(random_numbers<double>(c.channels, 14)),
        gamma(random_numbers<double>(c.channels, 15)),
        beta(random_numbers<double>(c.channels, 16)) {}

  Numbers apply(const NormCase<double>& c, const Numbers& act) const {
    Numbers out(act.size());
    norm_act_jvp<Cpu, double>(
        {}, c.params(), c.y.data(), act.data(),
        {y.data(), shortcut.data(), mean.data(), var.data(), gamma.data(), beta.data()},
        out.data());
    return out;
  }

  Numbers y, shortcut, mean, var, gamma, beta;
};

void shift(Numbers& values, const Numbers& direction, double step) {
  for (std::size_t i = 0; i < values.size(); ++i) values[i] += step * direction[i];
}

}  // namespace

TEST_CASE("channel statistics: vjp and jvp are adjoint") {
  for (const auto& [rows, channels] : kShapes) {
    CAPTURE(rows, channels);
    NormCase<double> c(rows, channels, false);
    c.run_stats();
    const auto y_tangent = random_numbers<double>(rows * channels, 21);
    const auto dmean = random_numbers<double>(channels, 22);
    const auto dvar = random_numbers<double>(channels, 23);
    const auto [mean_tangent, var_tangent] = c.stats_jvp(y_tangent);
    Numbers dy(c.y.size());
    channel_stats_vjp<Cpu, double>({}, rows, channels, c.y.data(), c.mean.data(), dmean.data(),
                                   dvar.data(), nullptr, dy.data());
    const double forward = dot(dmean, mean_tangent) + dot(dvar, var_tangent);
    REQUIRE(std::abs(forward - dot(dy, y_tangent)) <= 1e-12 * double(channels));

    // dy_in is added, and may be dy itself.
    Numbers sum = c.shortcut, expected = dy;
    shift(expected, c.shortcut, 1);
    channel_stats_vjp<Cpu, double>({}, rows, channels, c.y.data(), c.mean.data(), dmean.data(),
                                   dvar.data(), sum.data(), sum.data());
    REQUIRE(max_error(sum, expected, 1) <= 1e-15);
  }
}

TEST_CASE("channel statistics: the jvp is the derivative") {
  NormCase<double> c(300, 16, false);
  c.run_stats();
  const auto direction = random_numbers<double>(300 * 16, 21);
  const auto [mean_tangent, var_tangent] = c.stats_jvp(direction);
  const double step = 1e-5;
  NormCase<double> above = c, below = c;
  shift(above.y, direction, step);
  shift(below.y, direction, -step);
  above.run_stats();
  below.run_stats();
  for (int k = 0; k < 16; ++k) {
    // The variance is quadratic: a central difference errs by rounding only, 1e-16 / step.
    REQUIRE(std::abs((above.mean[k] - below.mean[k]) / (2 * step) - mean_tangent[k]) <= 1e-10);
    REQUIRE(std::abs((above.var[k] - below.var[k]) / (2 * step) - var_tangent[k]) <= 1e-10);
  }
}

TEST_CASE("norm_act: vjp and jvp are adjoint in every input") {
  for (const auto& [rows, channels] : kShapes) {
    for (const bool relu : {false, true}) {
      CAPTURE(rows, channels, relu);
      NormCase<double> c(rows, channels, relu);
      c.run_stats();
      for (double& v : c.var) v += 0.1;  // one row has variance 0, where rsqrt(eps) is 300
      const auto act = c.forward();
      const Tangents t(c);
      const auto dact = random_numbers<double>(rows * channels, 24);
      const auto r = c.vjp(act, dact);
      const double backward = dot(r.dy, t.y) + dot(r.dshortcut, t.shortcut) + dot(r.dmean, t.mean) +
                              dot(r.dvar, t.var) + dot(r.dgamma, t.gamma) + dot(r.dbeta, t.beta);
      const double forward = dot(dact, t.apply(c, act));
      REQUIRE(std::abs(forward - backward) <= 1e-12 * double(rows * channels));
      REQUIRE(std::abs(forward) > 1e-3);
    }
  }
}

TEST_CASE("norm_act: the jvp is the derivative") {
  NormCase<double> c(64, 24, true);
  c.run_stats();
  const auto act = c.forward();
  const Tangents t(c);
  const Numbers tangent = t.apply(c, act);
  const double step = 1e-6;
  const auto moved = [&](double by) {
    NormCase<double> at = c;
    shift(at.y, t.y, by);
    shift(at.shortcut, t.shortcut, by);
    shift(at.mean, t.mean, by);
    shift(at.var, t.var, by);
    shift(at.gamma, t.gamma, by);
    shift(at.beta, t.beta, by);
    return at.forward();
  };
  const Numbers above = moved(step), below = moved(-step);
  int compared = 0, active = 0;
  for (std::size_t i = 0; i < act.size(); ++i) {
    if ((above[i] > 0) != (below[i] > 0)) continue;  // across the kink there is no derivative
    REQUIRE(std::abs((above[i] - below[i]) / (2 * step) - tangent[i]) <= 1e-7);
    ++compared;
    active += act[i] > 0;
  }
  REQUIRE(compared >= 1500);
  REQUIRE((active >= 500 && active <= 1100));
}

TEST_CASE("norm_act: null tangents are zero, a null dshortcut is not written") {
  NormCase<double> c(40, 6, true);
  c.run_stats();
  const auto act = c.forward();
  const Numbers zero_rows(240), zero_channels(6);
  Tangents t(c);
  for (int left_out = 0; left_out < 6; ++left_out) {
    const auto unless = [&](int which, const Numbers& v) {
      return which == left_out ? nullptr : v.data();
    };
    Numbers with_null(240), with_zero(240);
    norm_act_jvp<Cpu, double>({}, c.params(), c.y.data(), act.data(),
                              {unless(0, t.y), unless(1, t.shortcut), unless(2, t.mean),
                               unless(3, t.var), unless(4, t.gamma), unless(5, t.beta)},
                              with_null.data());
    Tangents zeroed = t;
    Numbers* parts[] = {&zeroed.y,   &zeroed.shortcut, &zeroed.mean,
                        &zeroed.var, &zeroed.gamma,    &zeroed.beta};
    std::fill(parts[left_out]->begin(), parts[left_out]->end(), 0.0);
    with_zero = zeroed.apply(c, act);
    CAPTURE(left_out);
    REQUIRE(max_error(with_null, with_zero, 1) <= 1e-14);
  }
  const auto full = c.vjp(act, t.y);
  Numbers dy(240), dmean(6), dvar(6), dgamma(6), dbeta(6);
  norm_act_vjp<Cpu, double>(
      {}, c.params(), c.y.data(), act.data(), t.y.data(),
      {dy.data(), nullptr, dmean.data(), dvar.data(), dgamma.data(), dbeta.data()}, c.workspace());
  REQUIRE(same_bits(dy, full.dy));
  REQUIRE(same_bits(dgamma, full.dgamma));
}

TEST_CASE("float32 cotangents agree with double") {
  NormCase<float> c(20000, 16, true);
  NormCase<double> exact(20000, 16, true);
  for (std::size_t i = 0; i < c.y.size(); ++i) {
    exact.y[i] = double(c.y[i]);
    exact.shortcut[i] = double(c.shortcut[i]);
  }
  c.run_stats();
  exact.run_stats();
  const auto act = c.forward();
  // The same mask on both sides: a value at the kink may round to either.
  const std::vector<double> same_mask(act.begin(), act.end());
  const auto dact = random_numbers<float>(20000 * 16, 31);
  const auto r = c.vjp(act, dact);
  const auto reference = exact.vjp(same_mask, std::vector<double>(dact.begin(), dact.end()));
  REQUIRE(max_error(r.dy, reference.dy, 1) <= 1e-6);
  // Sums of 20000 numbers of size 1 in float lanes: about sqrt(20000) * 128 roundings of 6e-8.
  REQUIRE(max_error(r.dbeta, reference.dbeta, 100) <= 1e-5);
  REQUIRE(max_error(r.dgamma, reference.dgamma, 100) <= 1e-5);
}
