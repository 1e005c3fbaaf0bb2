// Difficulty-Net's kernels on the host executor, each version against the CPU in double.
#include "kernels/difficulty.h"

#include "kernels/base/versions.h"
#include "tests/error_of.h"
#include "tests/kernels/difficulty_run.h"
#include "tests/simt/device.h"

using namespace ek::kernels;
using namespace ek::simt::test;
using namespace ek::test;
using ek::simt::Guarded;
using ek::simt::ScopedOptions;

namespace {

// One of everything; ragged; the widths of CIFAR-10's and, in part, CIFAR-100's nets.
constexpr DifficultyShape kShapes[] = {{1, 1, true},    {3, 4, false},   {7, 9, true},
                                       {10, 16, false}, {100, 33, true}, {5, 130, true}};

// Calls check(inputs) for all shapes with each version that serves T, and for small ones with the
// rule's.
template <class T, class F>
void with_versions(std::string_view function, const F& check) {
  for (const DifficultyShape& s : kShapes) {
    CAPTURE(s.classes, s.hidden, s.bias);
    if (s.classes < 10 && s.hidden < 10) check(net_inputs<T>(s));
    for (const auto version : versions_of(function)) {
      if (version != "plain" && std::is_same_v<T, double>) continue;
      INFO("version " << version);
      const ScopedVersion scope(function, version);
      check(net_inputs<T>(s));
    }
  }
}

// run() in all orders, which must give the same bits. `parts` lists a result's vectors.
template <class F, class Parts>
auto always(const F& run, const Parts& parts) {
  std::vector<decltype(run())> first;
  for (const auto& options : some_orders()) {
    const ScopedOptions scope(options);
    auto result = run();
    if (first.empty()) first.push_back(result);
    const auto a = parts(result), b = parts(first[0]);
    for (std::size_t i = 0; i < a.size(); ++i) REQUIRE(same_bits(a[i], b[i]));
  }
  return first[0];
}

// Each of three layers adds at most `inputs` products of magnitude sqrt(inputs) together, the class
// weights' derivative divides and multiplies by the number of classes: a few hundred roundings in a
// row, each relative to numbers of size 1 (the floor of the comparison).
template <class T>
double tolerance(const DifficultyShape& s) {
  return 8 * double(s.classes + 2 * s.hidden + 8) * epsilon_of<T>();
}

}  // namespace

TEMPLATE_TEST_CASE("simt difficulty_forward", "", float, double) {
  using T = TestType;
  with_versions<T>("difficulty_forward", [](const NetInputs<T>& in) {
    const auto device = in.template in<T, Guarded>();
    const auto got = always([&] { return NetRun<Simt, T, Guarded>(device).pass(); },
                            [](const NetPass<T>& p) {
                              return std::vector{p.h1, p.h2, p.difficulty, p.class_weight};
                            });
    const auto wide = in.template in<double, Vector>();
    const auto expected = NetRun<Cpu, double, Vector>(wide).pass();
    REQUIRE(max_error(got.h1, expected.h1, 1) <= tolerance<T>(in.s));
    REQUIRE(max_error(got.h2, expected.h2, 1) <= tolerance<T>(in.s));
    REQUIRE(max_error(got.difficulty, expected.difficulty, 1) <= tolerance<T>(in.s));
    REQUIRE(max_error(got.class_weight, expected.class_weight, 1) <= tolerance<T>(in.s));
  });
}

TEMPLATE_TEST_CASE("simt difficulty_backward", "", float, double) {
  using T = TestType;
  with_versions<T>("difficulty_backward", [](const NetInputs<T>& in) {
    const auto device = in.template in<T, Guarded>();
    const auto wide = in.template in<double, Vector>();
    NetRun<Cpu, double, Vector> reference(wide);
    for (const bool meta : {true, false}) {
      const auto target =
          meta ? DifficultyTarget::one_minus_share : DifficultyTarget::one_minus_accuracy;
      const auto got = always(
          [&] {
            NetRun<Simt, T, Guarded> run(device);
            return run.backward(run.objective(meta, 0.3, target));
          },
          [](const NetGradient<T>& g) {
            return std::vector{g.gradient, g.driver_loss};
          });
      const auto expected = reference.backward(reference.objective(meta, 0.3, target));
      REQUIRE(max_error(got.gradient, expected.gradient, 1) <= tolerance<T>(in.s));
      REQUIRE(max_error(got.driver_loss, expected.driver_loss, 1) <= tolerance<T>(in.s));
    }
  });
}

TEMPLATE_TEST_CASE("simt difficulty_step", "", float, double) {
  using T = TestType;
  with_versions<T>("difficulty_step", [](const NetInputs<T>& in) {
    const auto device = in.template in<T, Guarded>();
    const auto wide = in.template in<double, Vector>();
    const AdamSettings adam{.lr = 0.01, .step = 3};
    const auto target = DifficultyTarget::one_minus_share;
    const auto got = always(
        [&] {
          NetRun<Simt, T, Guarded> run(device);
          return run.step(run.objective(true, 0.3, target), adam, 1e-2);
        },
        [](const NetStep<T>& s) {
          return std::vector{s.parameters, s.first_moment, s.second_moment, s.driver_loss};
        });
    NetRun<Cpu, double, Vector> reference(wide);
    const auto expected = reference.step(reference.objective(true, 0.3, target), adam, 1e-2);
    REQUIRE(max_error(got.parameters, expected.parameters, 1) <= tolerance<T>(in.s));
    REQUIRE(max_error(got.first_moment, expected.first_moment, 1) <= tolerance<T>(in.s));
    REQUIRE(max_error(got.second_moment, expected.second_moment, 1) <= tolerance<T>(in.s));
    REQUIRE(max_error(got.driver_loss, expected.driver_loss, 1) <= tolerance<T>(in.s));
  });
}

TEST_CASE("simt Difficulty-Net without a driver loss, and what is refused") {
  const auto in = net_inputs<float>({7, 9, true});
  const auto device = in.in<float, Guarded>();
  NetRun<Simt, float, Guarded> run(device);
  const auto objective = run.objective(true, 0.3, DifficultyTarget::one_minus_share);
  Guarded<double> scratch(1000);
  for (const auto version : versions_of("difficulty_backward")) {
    const ScopedVersion scope("difficulty_backward", version);
    Guarded<float> gradient(std::size_t(in.s.parameters()));
    difficulty_backward<Simt, float>({}, in.s, objective, device.parameters.data(),
                                     device.accuracy.data(), run.state(), gradient.data(), nullptr,
                                     {scratch.data(), 8000});
    REQUIRE(same_bits(gradient.values(), run.backward(objective).gradient));
    REQUIRE(contains(error_of([&] {
                       difficulty_backward<Simt, float>(
                           {}, in.s, objective, device.parameters.data(), device.accuracy.data(),
                           run.state(), gradient.data(), nullptr, {scratch.data(), 8});
                     }),
                     "difficulty_net: expected a workspace"));
  }
  const ScopedVersion fused("difficulty_forward", "fused");
  const auto wide = in.in<double, Guarded>();
  REQUIRE(contains(error_of([&] { NetRun<Simt, double, Guarded> refused(wide); }),
                   "difficulty_forward: expected float32 and at most 1024"));
}
