// The pieces of the norm kernels, put together slice by slice as a fused kernel does.
#include "kernels/cpu/norm/norm_slices.h"

#include <omp.h>

#include "tests/catch.h"
#include "tests/kernels/norm_run.h"

using namespace ek::kernels;
using namespace ek::kernels::cpu;
using namespace ek::test;

namespace {

const std::vector<std::pair<std::int64_t, std::int64_t>> kShapes{
    {7000, 16}, {900, 64}, {333, 17}, {64, 513}, {11, 3}};

// Rows in unequal slices, some of more than one block of the kernels.
struct Slices {
  explicit Slices(std::int64_t rows) : begins{0, rows / 11, rows / 5, rows / 5 + 1, rows} {}
  std::int64_t count() const { return std::int64_t(begins.size()) - 1; }
  std::int64_t rows_of(std::int64_t slice) const { return begins[slice + 1] - begins[slice]; }
  std::vector<std::int64_t> begins;
};

template <class T>
const T* offset(const std::vector<T>& values, std::int64_t at) {
  return values.data() + at;
}

template <class T>
struct SlicedResult {
  NormResult<T> cotangents;
  std::vector<T> stats_dy;
  std::vector<Acc<T>> mean, var, mean_tangent, var_tangent;
};

// Everything on slices, inside a parallel region of `threads` threads.
template <class T>
SlicedResult<T> run_slices(const NormCase<T>& c, const std::vector<T>& act, const Slices& slices,
                           int threads) {
  const std::int64_t channels = c.channels;
  using A = Acc<T>;
  const std::vector<T> empty(c.y.size());
  const std::vector<A> none(c.mean.size());
  SlicedResult<T> r{{empty, empty, none, none, none, none}, empty, none, none, none, none};
  std::vector<double> memory[3];
  Partials partials[3];
  for (int i = 0; i < 3; ++i) {
    memory[i].resize(Partials::bytes(slices.count(), channels) / 8);
    partials[i] = {memory[i].data(), slices.count(), channels};
  }
#pragma omp parallel for num_threads(threads)
  for (std::int64_t s = 0; s < slices.count(); ++s) {
    const std::int64_t rows = slices.rows_of(s), at = slices.begins[s] * channels;
    if (rows == 0) continue;
    slice_moments(rows, channels, offset(c.y, at), partials[0].first(s), partials[0].second(s));
    slice_stats_vjp(rows, c.rows, channels, offset(c.y, at), c.mean.data(), c.gamma.data(),
                    c.beta.data(), offset(c.shortcut, at), r.stats_dy.data() + at);
    slice_stats_jvp(rows, channels, offset(c.y, at), c.mean.data(), offset(c.shortcut, at),
                    partials[1].first(s), partials[1].second(s));
    NormParams<T> part = c.params();
    part.rows = rows;
    slice_act_vjp<T>(part, offset(c.y, at), offset(act, at), offset(c.shortcut, at), nullptr,
                     r.cotangents.dy.data() + at, r.cotangents.dshortcut.data() + at,
                     partials[2].first(s), partials[2].second(s));
  }
  merge_partials(partials[0], [&](std::int64_t s) { return slices.rows_of(s); });
  sum_partials(partials[1]);
  sum_partials(partials[2]);
  finish_moments<T>(c.rows, channels, partials[0].first(0), partials[0].second(0), r.mean.data(),
                    r.var.data());
  finish_stats_jvp<T>(c.rows, channels, partials[1].first(0), partials[1].second(0),
                      r.mean_tangent.data(), r.var_tangent.data());
  NormResult<T>& ct = r.cotangents;
  finish_act_vjp<T>(
      c.params(), partials[2].first(0), partials[2].second(0),
      {nullptr, nullptr, ct.dmean.data(), ct.dvar.data(), ct.dgamma.data(), ct.dbeta.data()});
  return r;
}

}  // namespace

TEMPLATE_TEST_CASE("norm kernels slice by slice equal the kernels on the whole", "", float, double,
                   ek::bf16) {
  using T = TestType;
  for (const auto& [rows, channels] : kShapes) {
    CAPTURE(rows, channels);
    NormCase<T> c(rows, channels, true);
    c.run_stats();
    const auto act = c.forward();
    const auto whole = c.vjp(act, c.shortcut);
    const auto [mean_tangent, var_tangent] = c.stats_jvp(c.shortcut);
    std::vector<T> stats_dy(c.y.size());
    channel_stats_vjp<Cpu, T>({}, rows, channels, c.y.data(), c.mean.data(), c.gamma.data(),
                              c.beta.data(), c.shortcut.data(), stats_dy.data());
    const auto r = run_slices(c, act, Slices(rows), 2);

    // One element does not see where its slice ends.
    REQUIRE(same_bits(numbers(r.stats_dy), numbers(stats_dy)));
    REQUIRE(same_bits(numbers(r.cotangents.dy), numbers(whole.dy)));
    REQUIRE(same_bits(numbers(r.cotangents.dshortcut), numbers(whole.dshortcut)));
    // Sums differ in their order: a few roundings of the accumulation type.
    const double few = 64 * epsilon_of<Acc<T>>(), size = std::sqrt(double(rows));
    REQUIRE(max_error(r.mean, c.mean, 1) <= few);
    REQUIRE(max_error(r.var, c.var, 1) <= few);
    REQUIRE(max_error(r.mean_tangent, mean_tangent, 1) <= few);
    REQUIRE(max_error(r.var_tangent, var_tangent, 1) <= few);
    REQUIRE(max_error(r.cotangents.dbeta, whole.dbeta, size) <= few);
    REQUIRE(max_error(r.cotangents.dgamma, whole.dgamma, size) <= few);
    const double r_most = 1 / std::sqrt(number(*std::min_element(c.var.begin(), c.var.end())));
    REQUIRE(max_error(r.cotangents.dmean, whole.dmean, size * r_most) <= few);
    REQUIRE(max_error(r.cotangents.dvar, whole.dvar, size * r_most * r_most) <= few);
  }
}

TEST_CASE("norm kernels inside a parallel region stay on their thread, with the same bits") {
  NormCase<ek::bf16> c(7000, 16, true);
  c.run_stats();
  const auto act = c.forward();
  const auto outside = c.vjp(act, c.shortcut).flat();
  std::vector<std::vector<double>> inside(2);
  int most_levels = 0;
#pragma omp parallel num_threads(2) reduction(max : most_levels)
  {
    NormCase<ek::bf16> own = c;
    inside[omp_get_thread_num()] = own.vjp(act, c.shortcut).flat();
    parallel_for(8, [&](std::int64_t) { most_levels = std::max(most_levels, omp_get_level()); });
  }
  REQUIRE(most_levels == 1);
  for (const auto& result : inside) {
    if (!result.empty()) REQUIRE(same_bits(result, outside));
  }
}
