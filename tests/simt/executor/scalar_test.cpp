// Kernels that read a learning rate and the number of a step where the device keeps them: the bits
// are those of plain numbers.
#include "kernels/base/scalar.h"

#include "kernels/elementwise.h"
#include "kernels/math/adam.h"
#include "kernels/optim.h"
#include "kernels/reduce.h"
#include "kernels/simt/check/recording.h"
#include "kernels/weight_packs.h"
#include "tests/kernels/difficulty_run.h"
#include "tests/simt/device.h"

using namespace ek::kernels;
using namespace ek::simt::test;
using namespace ek::test;
using ek::simt::Guarded;
using ek::simt::ScopedOptions;

namespace {

constexpr std::int64_t kCount = 1003;
constexpr double kRate = 0.0371;
constexpr std::int64_t kDone = 6;

// Both forms of the numbers: step(rate, step number) must leave the same bits. The memory is
// registered with the executor, which checks every access to it.
template <class T>
void same_by_both(const std::function<std::vector<T>(Scalar, Count)>& step) {
  const Input<double> rate(std::vector<double>{kRate}, "rate");
  const Input<std::int64_t> done(std::vector<std::int64_t>{kDone}, "step number");
  for (const auto& options : some_orders()) {
    const ScopedOptions scope(options);
    const auto plain = step(kRate, kDone + 1);
    REQUIRE(same_bits(step({1, rate.data()}, {1, done.data()}), plain));
    REQUIRE(!same_bits(step(2 * kRate, kDone + 1), plain));
  }
}

// -rate, with the sign in the factor.
Scalar negative(const Scalar& rate) {
  return {-rate.factor, rate.memory};
}

}  // namespace

TEMPLATE_TEST_CASE("simt scalars in memory: affine and add_scaled", "", float, double) {
  using T = TestType;
  for (const std::int64_t shift : {0, 1}) {  // 1: not aligned to 16 bytes
    const Input<T> x(random_numbers<T>(kCount + shift, 1), "x"),
        d(random_numbers<T>(kCount + shift, 2), "d");
    same_by_both<T>([&](Scalar rate, Count) {
      Guarded<T> y(std::size_t(kCount + shift), "y");
      affine<Simt, T>({}, kCount, negative(rate), 0.5, x.data() + shift, y.data() + shift);
      return y.values();
    });
    same_by_both<T>([&](Scalar rate, Count) {
      Guarded<T> y(std::size_t(kCount + shift), "y");
      add_scaled<Simt, T>({}, kCount, x.data() + shift, negative(rate), d.data() + shift,
                          y.data() + shift);
      return y.values();
    });
  }
}

TEMPLATE_TEST_CASE("simt scalars in memory: optimiser steps", "", float, double) {
  using T = TestType;
  const std::vector<OptimSegment> segments{{0, 300, 0.3, 1e-3}, {300, 301}, {302, kCount, 2, 0.1}};
  const auto start = random_numbers<T>(kCount, 1), before = random_numbers<T>(kCount, 2);
  const Input<T> g(random_numbers<T>(kCount, 3), "gradient");
  for (const bool first : {false, true}) {
    same_by_both<T>([&](Scalar rate, Count) {
      Guarded<T> p(start, "parameters"), m(before, "momentum");
      sgd_step<Simt, T>({}, {rate, 0.9, true, first}, segments, g.data(), p.data(), m.data());
      return p.values();
    });
  }
  same_by_both<T>([&](Scalar rate, Count step) {
    Guarded<T> p(start, "parameters"), m(before, "m"),
        v(std::vector<T>(std::size_t(kCount), T(1)), "v");
    adam_step<Simt, T>({}, {rate, 0.9, 0.999, 1e-8, step}, segments, g.data(), p.data(), m.data(),
                       v.data());
    return p.values();
  });
  // The power is the CPU's, bit for bit.
  const Count step(kDone + 1);
  const auto at = ek::math::adam_of<T>({.lr = 1, .step = step});
  REQUIRE(at.unbias1 == T(1 / ek::math::one_minus_power(0.9, kDone + 1)));
}

TEST_CASE("simt scalars in memory: steps that write packs, and Difficulty-Net's") {
  const Conv2dShape shape{1, 5, 5, 3, 8, 3, 3, 1, 1, 1, 1};
  const std::int64_t count = shape.weight_size() + 3;
  const auto start = random_numbers<float>(count, 1), before = random_numbers<float>(count, 2);
  const Input<float> g(random_numbers<float>(count, 3), "gradient");
  const std::vector<OptimSegment> all{{0, count, 1, 1e-3}};
  const std::size_t bytes = conv2d_pack_bytes<Simt, float>(shape, Conv2dPass::forward);
  // What `step` leaves in the pack of its parameters, which it gets with the weights before.
  const auto packed = [&](const auto& step) {
    Guarded<float> p(start, "parameters"), pack(bytes / sizeof(float), "pack", 0);
    const std::vector<PackJob> jobs{{shape, Conv2dPass::forward, 2, pack.data()}};
    write_packs<Simt, float>({}, jobs, p.data());
    step(jobs, p.data());
    return pack.values();
  };
  same_by_both<float>([&](Scalar rate, Count) {
    return packed([&](const auto& jobs, float* p) {
      Guarded<float> m(before, "momentum");
      sgd_step_and_pack<Simt, float>({}, {rate, 0.9, true}, all, jobs, g.data(), p, m.data());
    });
  });
  same_by_both<float>([&](Scalar rate, Count step) {
    return packed([&](const auto& jobs, float* p) {
      Guarded<float> m(before, "m"), v(std::vector<float>(std::size_t(count), 1.0f), "v");
      adam_step_and_pack<Simt, float>({}, {rate, 0.9, 0.999, 1e-8, step}, all, jobs, g.data(), p,
                                      m.data(), v.data());
    });
  });
  same_by_both<float>([&](Scalar rate, Count) {
    return packed([&](const auto& jobs, float* p) {
      Guarded<float> y(std::size_t(count), "y");
      add_scaled_and_pack<Simt, float>({}, count, jobs, p, negative(rate), g.data(), y.data());
    });
  });
  const auto net = net_inputs<float>({10, 16}).template in<float, Guarded>();
  by_versions("difficulty_step", [&] {
    same_by_both<float>([&](Scalar rate, Count step) {
      NetRun<Simt, float, Guarded> run(net);
      AdamSettings adam{.lr = rate};
      adam.step = step;
      return run.step(run.objective(true, 0.3, DifficultyTarget::one_minus_share), adam, 1e-2)
          .parameters;
    });
  });
}

TEST_CASE("simt take_rows of int64 labels") {
  const std::vector<std::int64_t> labels{5, -1, std::int64_t(1) << 60, 9};
  const Input<std::int64_t> values(labels, "labels"),
      index(std::vector<std::int64_t>{2, 0, 0, 3, 1}, "index");
  const auto got = in_all_orders<std::int64_t>(5, 0, [&](std::int64_t* out) {
    take_rows<Simt, std::int64_t>({}, 5, 1, values.data(), index.data(), out);
  });
  CHECK(got == std::vector<std::int64_t>{labels[2], 5, 5, 9, -1});
}

TEST_CASE("recorded launches run later, on what lies at their addresses then") {
  Guarded<float> x(std::vector<float>{1, 2, 3}, "x"), y(std::vector<float>(3), "y");
  std::vector<ek::simt::RecordedLaunch> kept;
  {
    const ek::simt::LaunchRecorder recorder(
        [&](ek::simt::RecordedLaunch launch) { kept.push_back(std::move(launch)); });
    affine<Simt, float>({}, 3, 2, 1, x.data(), y.data());
    unary<Simt, float>({}, Unary::negate, 3, y.data(), y.data());
    CHECK_THROWS_AS(ek::simt::LaunchRecorder([](ek::simt::RecordedLaunch) {}), ek::Error);
  }
  CHECK(y.values() == std::vector<float>(3));
  for (int i = 0; i < 3; ++i) x.data()[i] = float(4 + i);
  REQUIRE(kept.size() == 2);
  CHECK(contains(kept[0].title(), "AffineBy<float>"));
  for (int i = 0; i < 2; ++i) {
    for (const auto& launch : kept) launch.run();
    CHECK(y.values() == std::vector<float>{-9, -11, -13});
  }
}
