#include "kernels/optim.h"

#include "kernels/base/error.h"
#include "tests/simt/device.h"

using namespace ek::kernels;
using namespace ek::simt::test;
using ek::simt::Guarded;
using ek::simt::ScopedOptions;
using ek::test::random_numbers;
using ek::test::same_bits;

namespace {

constexpr std::int64_t kCount = 5003;
constexpr int kSteps = 3;

// Segments that begin and end anywhere, a frozen and an empty one, gaps, several blocks.
const std::vector<OptimSegment> kFew{{0, 1, 1.0, 1e-2, false},    {1, 2500, 0.5, 1e-3, false},
                                     {2500, 2503, 1.0, 0, true},  {2505, 2505, 1.0, 0, false},
                                     {2506, 2510, 2.0, 0, false}, {2511, 5002, 0.1, 0.5, false}};

// More than go into one launch.
std::vector<OptimSegment> many() {
  std::vector<OptimSegment> segments;
  for (std::int64_t i = 0; i < 150; ++i) {
    segments.push_back(
        {i * 30, i * 30 + i % 29, 1.0 / double(i + 1), 0.01 * double(i % 3), i % 7 == 3});
  }
  return segments;
}

template <class T>
struct State {
  std::vector<T> parameters, first, second;
};

// Each formula is a few operations in T on both sides, which the CPU may fuse; errors of a step
// enter the next one.
template <class T>
void require_close(const std::vector<T>& a, const std::vector<T>& b) {
  const double tolerance = 16 * double(std::numeric_limits<T>::epsilon());
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(T)) == 0) continue;  // untouched, be it NaN
    const double error =
        std::abs(double(a[i]) - double(b[i])) / std::max(1.0, std::abs(double(b[i])));
    if (!(error <= worst)) worst = error;
    if (std::isnan(worst)) break;
  }
  REQUIRE(worst <= tolerance);
}

// `step(backend tag, number, segments, gradient, parameters, first, second)` on both backends, on
// the same bytes; on the device all versions and orders give the same bits. Moments start as what
// nobody may read (SGD) or as zeros (Adam); elements outside the segments must keep their bits.
template <class T, class Step>
void check(std::string_view function, bool moments_are_read, const Step& step) {
  for (const auto& segments : {kFew, many()}) {
    for (const std::int64_t shift : {0, 1}) {  // 1: not aligned to 16 bytes
      const std::size_t size = std::size_t(kCount + shift);
      const std::vector<T> start = random_numbers<T>(std::int64_t(size), 1);
      const Guarded<T> unwritten(size);
      const std::vector<T> moments =
          moments_are_read ? std::vector<T>(size) : std::vector<T>(unwritten.values());
      State<T> cpu{start, moments, moments};
      for (int n = 0; n < kSteps; ++n) {
        const auto g = random_numbers<T>(std::int64_t(size), std::uint32_t(10 + n));
        step(Cpu{}, n, segments, g.data() + shift, cpu.parameters.data() + shift,
             cpu.first.data() + shift, cpu.second.data() + shift);
      }
      State<T> first;
      const auto run = [&] {
        Guarded<T> p(start, "parameters");
        const auto of_moments = [&](const char* name) {
          if (moments_are_read) return Guarded<T>(moments, name);
          return Guarded<T>(size, name);
        };
        Guarded<T> m = of_moments("m"), v = of_moments("v");
        for (int n = 0; n < kSteps; ++n) {
          const Input<T> g(random_numbers<T>(std::int64_t(size), std::uint32_t(10 + n)),
                           "gradient");
          step(Simt{}, n, segments, g.data() + shift, p.data() + shift, m.data() + shift,
               v.data() + shift);
        }
        const State<T> got{p.values(), m.values(), v.values()};
        if (first.parameters.empty()) first = got;
        REQUIRE(same_bits(got.parameters, first.parameters));
        REQUIRE(same_bits(got.first, first.first));
        REQUIRE(same_bits(got.second, first.second));
      };
      by_versions(function, [&] {
        for (const auto& options : some_orders()) {
          const ScopedOptions scope(options);
          run();
        }
      });
      require_close(first.parameters, cpu.parameters);
      require_close(first.first, cpu.first);
      require_close(first.second, cpu.second);
      REQUIRE(!same_bits(first.parameters, start));
    }
  }
}

template <class T>
void check_sgd(double momentum, bool nesterov, bool with_buffer) {
  const auto step = [&](auto backend, int n, const auto& segments, const T* g, T* p, T* m, T*) {
    sgd_step<decltype(backend), T>({}, {0.1 / (n + 1), momentum, nesterov, n == 0}, segments, g, p,
                                   with_buffer ? m : nullptr);
  };
  check<T>("sgd_step", false, step);
}

}  // namespace

TEMPLATE_TEST_CASE("simt sgd_step", "", float, double) {
  check_sgd<TestType>(0.9, false, true);
  check_sgd<TestType>(0.9, true, true);
  check_sgd<TestType>(0, false, false);
}

TEMPLATE_TEST_CASE("simt adam_step", "", float, double) {
  using T = TestType;
  const auto step = [&](auto backend, int n, const auto& segments, const T* g, T* p, T* m, T* v) {
    adam_step<decltype(backend), T>({}, {0.01, 0.9, 0.999, 1e-8, n + 1}, segments, g, p, m, v);
  };
  check<T>("adam_step", true, step);
}

TEST_CASE("simt optimisers refuse what they cannot do, and do nothing for no segment") {
  float g = 0, p = 1, m = 0, v = 0;
  const std::vector<OptimSegment> good{{0, 1}}, reversed{{3, 2}}, none;
  CHECK_THROWS_AS((sgd_step<Simt, float>({}, {0.1, 0.9}, good, &g, &p, nullptr)), ek::Error);
  CHECK_THROWS_AS((sgd_step<Simt, float>({}, {0.1}, reversed, &g, &p, nullptr)), ek::Error);
  AdamSettings no_step{0.1};
  no_step.step = 0;
  CHECK_THROWS_AS((adam_step<Simt, float>({}, no_step, good, &g, &p, &m, &v)), ek::Error);
  sgd_step<Simt, float>({}, {0.1}, none, &g, &p, nullptr);
  REQUIRE(p == 1);
}
