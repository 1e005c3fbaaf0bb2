#include "kernels/norm.h"

#include "tests/catch.h"
#include "tests/kernels/norm_run.h"
#include "tests/simt/device.h"

using namespace ek::kernels;
using namespace ek::simt::test;
using namespace ek::test;
using ek::bf16;

namespace {

// One row; few rows (the plain reduction); channels that make no packs, one, several and more than
// a block has threads for; several parts of the rows, the last one shorter.
template <class T>
std::vector<std::pair<std::int64_t, std::int64_t>> shapes() {
  return {{1, 5},     {32, 16},  {33, 16},
          {1025, 32}, {777, 17}, {40, 24},
          {35, 1},    {6000, 3}, {33, 256 * (16 / std::int64_t(sizeof(T))) + 8}};
}

// As the CPU: a dozen roundings of numbers up to 10 or so, and sums over at most 8192 of them.
template <class T>
double tolerance() {
  return 128 * epsilon_of<Acc<T>>();
}

// The first element is `shift` elements past an aligned address: 1 rules packs out.
template <class T>
struct Shifted {
  Shifted(std::vector<T> values, int shift) : shift(shift), memory(shifted(values, shift)) {}
  const T* data() const { return memory.data() + shift; }

  int shift;
  Input<T> memory;
};

template <class T>
NormParams<T> with(NormParams<T> p, const Shifted<Acc<T>>& mean, const Shifted<Acc<T>>& var,
                   const Shifted<Acc<T>>& gamma, const Shifted<Acc<T>>& beta) {
  p.mean = mean.data();
  p.var = var.data();
  p.gamma = gamma.data();
  p.beta = beta.data();
  return p;
}

// Runs `write` (outputs [stored] of T, workspace) in all orders; `per_channel` numbers of Acc<T>
// follow from a second buffer.
template <class T, class F>
std::pair<std::vector<T>, std::vector<Acc<T>>> run_reduction(const NormCase<T>& c,
                                                             std::size_t stored, int per_channel,
                                                             const F& write) {
  std::vector<T> images;
  const auto sums =
      in_all_orders<Acc<T>>(std::size_t(per_channel * c.channels), 0, [&](Acc<T>* of_channels) {
        ek::simt::Guarded<double> scratch(norm_workspace_bytes<Simt, T>(c.rows, c.channels) / 8,
                                          "workspace");
        ek::simt::Guarded<T> out(stored, "images");
        write(out.data(), of_channels, Workspace{scratch.data(), scratch.size() * 8});
        const std::vector<T> values = out.values();
        if (images.empty()) images = values;
        REQUIRE(same_bits(values, images));
      });
  return {images, sums};
}

// By all versions; many channels by the rule alone, since a warp for each takes long here.
template <class F>
void sums_by_versions(std::string_view function, std::int64_t channels, const F& body) {
  if (channels > 256) {
    body();
  } else {
    by_versions(function, body);
  }
}

template <class T>
std::vector<Acc<T>> joined(std::initializer_list<std::vector<Acc<T>>> parts) {
  std::vector<Acc<T>> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

template <class T>
NormCase<T> case_with_statistics(std::int64_t rows, std::int64_t channels, bool relu) {
  NormCase<T> c(rows, channels, relu);
  c.run_stats();
  for (auto& v : c.var) v += 0.1f;  // one row has none
  return c;
}

// Relative to numbers of at least 1; what is stored in bf16 was rounded once on both sides.
template <class T>
double error_of(const std::vector<T>& simt, const std::vector<T>& cpu) {
  const double error = max_error(simt, cpu, 1);
  return std::is_same_v<T, bf16> ? error - epsilon_of<T>() : error;
}

}  // namespace

TEMPLATE_TEST_CASE("simt channel statistics and their tangents", "", float, double, bf16) {
  using T = TestType;
  for (const auto& [rows, channels] : shapes<T>()) {
    for (const int shift : {0, 1}) {
      CAPTURE(rows, channels, shift);
      NormCase<T> c(rows, channels, false);
      c.run_stats();
      const Shifted<T> y(c.y, shift);
      sums_by_versions("channel_stats_forward", c.channels, [&] {
        const auto stats = run_reduction(c, 0, 2, [&](T*, Acc<T>* out, Workspace workspace) {
          channel_stats_forward<Simt, T>({}, c.rows, c.channels, y.data(), out, out + c.channels,
                                         workspace);
        });
        REQUIRE(max_error(stats.second, joined<T>({c.mean, c.var}), 1) <= tolerance<T>());
      });

      const auto numbers = random_numbers<T>(rows * channels, 21);
      const auto expected = c.stats_jvp(numbers);
      const Shifted<T> y_tangent(numbers, shift);
      const Shifted<Acc<T>> mean(c.mean, shift);
      sums_by_versions("channel_stats_jvp", c.channels, [&] {
        const auto tangents = run_reduction(c, 0, 2, [&](T*, Acc<T>* out, Workspace workspace) {
          channel_stats_jvp<Simt, T>({}, c.rows, c.channels, y.data(), mean.data(),
                                     y_tangent.data(), out, out + c.channels, workspace);
        });
        REQUIRE(max_error(tangents.second, joined<T>({expected.first, expected.second}), 1) <=
                tolerance<T>());
      });
    }
  }
}

TEST_CASE("simt variance does not cancel when the mean is large, or the pivot bad") {
  const std::int64_t rows = 4096, channels = 4;
  for (const bool outlier : {false, true}) {
    CAPTURE(outlier);
    NormCase<float> c(rows, channels, false);
    for (float& v : c.y) v = 4096 + v;
    if (outlier) std::fill_n(c.y.begin(), channels, 1e6f);  // a quarter of the first pivot
    NormCase<double> exact = c.exact();
    exact.run_stats();
    const Shifted<float> y(c.y, 0);
    const auto stats = run_reduction(c, 0, 2, [&](float*, float* out, Workspace workspace) {
      channel_stats_forward<Simt, float>({}, rows, channels, y.data(), out, out + channels,
                                         workspace);
    });
    std::vector<double> expected = exact.mean;
    expected.insert(expected.end(), exact.var.begin(), exact.var.end());
    // Sixteen roundings: 8 rows a thread, 8 levels of the tree. The outlier makes the sum of
    // squares of its part 128 times its true size, and there are two sums.
    const double factor = outlier ? 2 * 128 : 2;
    REQUIRE(max_error(stats.second, expected, 1) <= factor * 16 * 0x1p-24);
  }
}

TEMPLATE_TEST_CASE("simt cotangents of the statistics", "", float, double, bf16) {
  using T = TestType;
  for (const auto& [rows, channels] : shapes<T>()) {
    for (const int shift : {0, 1}) {
      for (const bool added : {false, true}) {
        CAPTURE(rows, channels, shift, added);
        const auto c = case_with_statistics<T>(rows, channels, false);
        std::vector<T> expected(c.y.size());
        channel_stats_vjp<Cpu, T>({}, rows, channels, c.y.data(), c.mean.data(), c.gamma.data(),
                                  c.beta.data(), added ? c.shortcut.data() : nullptr,
                                  expected.data());
        const Shifted<T> y(c.y, shift), dy_in(c.shortcut, shift);
        const Shifted<Acc<T>> mean(c.mean, shift), dmean(c.gamma, shift), dvar(c.beta, shift);
        const auto dy = in_all_versions<T>("channel_stats_vjp", c.y.size(), shift, [&](T* to) {
          channel_stats_vjp<Simt, T>({}, c.rows, c.channels, y.data(), mean.data(), dmean.data(),
                                     dvar.data(), added ? dy_in.data() : nullptr, to);
        });
        REQUIRE(error_of(dy, expected) <= tolerance<T>());
        if (!added) continue;
        ek::simt::Guarded<T> in_place(c.shortcut, "in place");
        channel_stats_vjp<Simt, T>({}, rows, channels, y.data(), mean.data(), dmean.data(),
                                   dvar.data(), in_place.data(), in_place.data());
        REQUIRE(error_of(in_place.values(), expected) <= tolerance<T>());
      }
    }
  }
}

TEMPLATE_TEST_CASE("simt norm_act: activation, tangent and cotangents", "", float, double, bf16) {
  using T = TestType;
  for (const auto& [rows, channels] : shapes<T>()) {
    for (const int shift : {0, 1}) {
      for (const bool full : {false, true}) {  // with ReLU, shortcut and all tangents, or none
        CAPTURE(rows, channels, shift, full);
        auto c = case_with_statistics<T>(rows, channels, full);
        const Shifted<T> y(c.y, shift), shortcut(c.shortcut, shift);
        if (!full) c.shortcut.clear();
        const Shifted<Acc<T>> mean(c.mean, shift), var(c.var, shift), gamma(c.gamma, shift),
            beta(c.beta, shift);
        const auto params = with(c.params(), mean, var, gamma, beta);
        const std::size_t count = c.y.size();
        const std::vector<T> act = c.forward();
        const auto got_act = in_all_versions<T>("norm_act_forward", count, shift, [&](T* to) {
          norm_act_forward<Simt, T>({}, params, y.data(), full ? shortcut.data() : nullptr, to);
        });
        REQUIRE(error_of(got_act, act) <= tolerance<T>());

        // The mask of the derivatives is the CPU's on both sides.
        const Shifted<T> stored(act, shift);
        const auto numbers = random_numbers<T>(rows * channels, 24);
        const Shifted<T> dact(numbers, shift);
        std::vector<T> expected_tangent(count);
        const auto tangents = [&](const T* image, const Acc<T>* a, const Acc<T>* b) {
          return full ? NormActTangents<T>{image, image, b, a, b, a}
                      : NormActTangents<T>{image, nullptr, nullptr, nullptr, nullptr, nullptr};
        };
        norm_act_jvp<Cpu, T>({}, c.params(), c.y.data(), act.data(),
                             tangents(numbers.data(), c.gamma.data(), c.beta.data()),
                             expected_tangent.data());
        const auto got_tangent = in_all_versions<T>("norm_act_jvp", count, shift, [&](T* to) {
          norm_act_jvp<Simt, T>({}, params, y.data(), stored.data(),
                                tangents(dact.data(), gamma.data(), beta.data()), to);
        });
        REQUIRE(error_of(got_tangent, expected_tangent) <= 16 * tolerance<T>());  // r^3: up to 30

        const auto expected = c.vjp(act, numbers);
        const std::size_t stride = count + std::size_t(16);  // the second image is aligned, too
        const std::size_t second = stride - stride % 16 + std::size_t(shift);
        const auto expected_sums =
            joined<T>({expected.dmean, expected.dvar, expected.dgamma, expected.dbeta});
        sums_by_versions("norm_act_vjp", c.channels, [&] {
          const auto [images, sums] = run_reduction(
              c, second + count, 4, [&](T* out, Acc<T>* of_channel, Workspace workspace) {
                norm_act_vjp<Simt, T>({}, params, y.data(), stored.data(), dact.data(),
                                      {out + shift, full ? out + second : nullptr, of_channel,
                                       of_channel + c.channels, of_channel + 2 * c.channels,
                                       of_channel + 3 * c.channels},
                                      workspace);
              });
          const auto part = [count, &images = images](std::size_t from) {
            return std::vector<T>(images.begin() + std::ptrdiff_t(from),
                                  images.begin() + std::ptrdiff_t(from + count));
          };
          REQUIRE(error_of(part(std::size_t(shift)), expected.dy) <= tolerance<T>());
          if (full)
            REQUIRE(ek::test::numbers(part(second)) == ek::test::numbers(expected.dshortcut));
          // Sums of so many numbers of size 1, times r^2 / 2 of at most 5 or so.
          const double floor = 15 * std::max(1.0, std::sqrt(double(rows)));
          REQUIRE(max_error(sums, expected_sums, floor) <= tolerance<T>());
        });
      }
    }
  }
}

TEST_CASE("simt norm kernels take empty tensors") {
  const NormParams<float> no_channels{5, 0, 1e-5, true, nullptr, nullptr, nullptr, nullptr};
  norm_act_forward<Simt, float>({}, no_channels, nullptr, nullptr, nullptr);
  norm_act_vjp<Simt, float>({}, no_channels, nullptr, nullptr, nullptr, {}, {});
  norm_act_jvp<Simt, float>({}, no_channels, nullptr, nullptr, {}, nullptr);

  const Input<float> ones(std::vector<float>(3, 1.0f));
  const NormParams<float> no_rows{0,           3,           1e-5,        true,
                                  ones.data(), ones.data(), ones.data(), ones.data()};
  norm_act_forward<Simt, float>({}, no_rows, nullptr, nullptr, nullptr);
  ek::simt::Guarded<float> dgamma(3, "dgamma");
  norm_act_vjp<Simt, float>({}, no_rows, nullptr, nullptr, nullptr,
                            {nullptr, nullptr, nullptr, nullptr, dgamma.data(), nullptr}, {});
  REQUIRE(dgamma.values() == std::vector<float>(3, 0.0f));
}
