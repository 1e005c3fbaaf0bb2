#include "kernels/optim.h"

#include "kernels/base/error.h"
#include "tests/catch.h"
#include "tests/kernels/numbers.h"

using namespace ek::kernels;
using namespace ek::test;

namespace {

// Two groups, a frozen one and a gap that belongs to none; longer than one block of work.
const std::vector<OptimSegment> kSegments{
    {0, 20000, 1.0, 1e-3, false}, {20000, 20007, 1.0, 0.5, true}, {20010, 57000, 0.1, 0.0, false}};
constexpr std::int64_t kCount = 57001;
constexpr int kSteps = 4;

// Rounding of a few operations per step; the test in double holds the formula.
template <class T>
double tolerance() {
  return 64 * double(std::numeric_limits<T>::epsilon());
}

// The formulas of docs/protocol.md, one element at a time, in double.
struct Reference {
  std::vector<double> p, first = std::vector<double>(kCount), second = first;

  template <class Update>
  void step(const std::vector<double>& gradient, const Update& update) {
    for (const OptimSegment& s : kSegments) {
      for (std::int64_t i = s.begin; i < s.end && !s.frozen; ++i) {
        const double g = gradient[i] + s.weight_decay * p[i];
        p[i] -= s.lr_factor * update(g, first[i], second[i]);
      }
    }
  }
};

template <class T>
std::vector<double> widened(const std::vector<T>& x) {
  return std::vector<double>(x.begin(), x.end());
}

template <class T>
void check_sgd(double momentum, bool nesterov, bool with_buffer) {
  std::vector<T> p = random_numbers<T>(kCount, 1);
  // The first step must not read the buffer.
  std::vector<T> buffer(kCount, std::numeric_limits<T>::quiet_NaN());
  const std::vector<T> start = p;
  Reference reference{widened(p)};
  for (int step = 0; step < kSteps; ++step) {
    const std::vector<T> g = random_numbers<T>(kCount, 10 + step);
    const double lr = 0.1 / (step + 1);
    sgd_step<Cpu, T>({}, {lr, momentum, nesterov, step == 0}, kSegments, g.data(), p.data(),
                     with_buffer ? buffer.data() : nullptr);
    reference.step(widened(g), [&](double gradient, double& moment, double&) {
      moment = step == 0 ? gradient : momentum * moment + gradient;
      return lr * (nesterov ? gradient + momentum * moment : moment);
    });
  }
  REQUIRE(max_error(p, reference.p, 1) <= tolerance<T>());
  for (std::int64_t i : {20000, 20006, 20007, 20009, 57000}) REQUIRE(p[i] == start[i]);
  REQUIRE(std::isnan(buffer[20003]));  // frozen: its state is left alone
  if (with_buffer) REQUIRE(std::abs(double(buffer[5]) - reference.first[5]) <= tolerance<T>());
}

}  // namespace

TEMPLATE_TEST_CASE("sgd_step follows the formula", "", float, double) {
  check_sgd<TestType>(0.9, false, true);
  check_sgd<TestType>(0.9, true, true);
  check_sgd<TestType>(0, false, true);
  check_sgd<TestType>(0, false, false);
}

TEMPLATE_TEST_CASE("adam_step follows the formula", "", float, double) {
  using T = TestType;
  std::vector<T> p = random_numbers<T>(kCount, 2), m(kCount), v(kCount);
  const std::vector<T> start = p;
  Reference reference{widened(p)};
  const double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, lr = 0.01;
  for (int step = 1; step <= kSteps; ++step) {
    const std::vector<T> g = random_numbers<T>(kCount, 20 + step);
    adam_step<Cpu, T>({}, {lr, beta1, beta2, eps, step}, kSegments, g.data(), p.data(), m.data(),
                      v.data());
    reference.step(widened(g), [&](double gradient, double& first, double& second) {
      first = beta1 * first + (1 - beta1) * gradient;
      second = beta2 * second + (1 - beta2) * gradient * gradient;
      return lr * (first / (1 - std::pow(beta1, step))) /
             (std::sqrt(second / (1 - std::pow(beta2, step))) + eps);
    });
  }
  REQUIRE(max_error(p, reference.p, 1) <= tolerance<T>());
  REQUIRE(p[20003] == start[20003]);
  REQUIRE(m[20003] == 0);
  // The first step moves by lr whatever the size of the gradient.
  std::vector<T> q(2, T(1)), g{T(1e-3), T(-50)}, zero1(2), zero2(2);
  const std::vector<OptimSegment> all{{0, 2}};
  adam_step<Cpu, T>({}, {lr, beta1, beta2, 0.0, 1}, all, g.data(), q.data(), zero1.data(),
                    zero2.data());
  REQUIRE(max_error(q, std::vector<double>{1 - lr, 1 + lr}, 1) <= tolerance<T>());
}

TEST_CASE("optimiser bits do not depend on threads") {
  std::vector<float> first;
  const auto g = random_numbers<float>(kCount, 30);
  for (int threads : {1, 2, 4}) {
    const Threads scope(threads);
    auto p = random_numbers<float>(kCount, 31);
    std::vector<float> buffer(kCount), m(kCount), v(kCount);
    sgd_step<Cpu, float>({}, {0.1, 0.9, true, false}, kSegments, g.data(), p.data(), buffer.data());
    adam_step<Cpu, float>({}, {0.1}, kSegments, g.data(), p.data(), m.data(), v.data());
    if (first.empty()) first = p;
    REQUIRE(same_bits(p, first));
  }
}

TEST_CASE("optimisers refuse what they cannot do") {
  float p = 0, g = 0, m = 0, v = 0;
  const std::vector<OptimSegment> good{{0, 1}}, reversed{{1, 0}};
  CHECK_THROWS_AS((sgd_step<Cpu, float>({}, {0.1, 0.9}, good, &g, &p, nullptr)), ek::Error);
  CHECK_THROWS_AS((sgd_step<Cpu, float>({}, {0.1}, reversed, &g, &p, nullptr)), ek::Error);
  AdamSettings no_step{0.1};
  no_step.step = 0;
  CHECK_THROWS_AS((adam_step<Cpu, float>({}, no_step, good, &g, &p, &m, &v)), ek::Error);
}
