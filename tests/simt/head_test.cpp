// The classification head on the host executor, each version against the CPU in double.
#include "kernels/head.h"

#include "kernels/base/versions.h"
#include "tests/error_of.h"
#include "tests/kernels/head_run.h"
#include "tests/simt/device.h"

using namespace ek::kernels;
using namespace ek::simt::test;
using namespace ek::test;
using ek::bf16;
using ek::simt::Guarded;
using ek::simt::ScopedOptions;

namespace {

// One of everything; ragged; packs of 16 bytes; more packs than a warp and than a block has
// threads; more classes than a warp takes.
constexpr HeadShape kShapes[] = {{1, 1, 1, 1},    {3, 9, 5, 7},     {5, 9, 8, 10},
                                 {9, 4, 16, 33},  {2, 16, 64, 100}, {6, 3, 264, 5},
                                 {2, 2, 1032, 3}, {2, 2, 8, 1030}};

template <class T>
bool serves(std::string_view version, const HeadShape& s) {
  if (version == "plain") return true;
  const std::int64_t channels = version == "warp" ? 1024 : 2048;
  return !std::is_same_v<T, double> && s.channels % (16 / std::int64_t(sizeof(T))) == 0 &&
         s.channels <= channels && s.classes <= (version == "warp" ? 1024 : 8192);
}

template <class T>
using Device = HeadInputs<T, Guarded>;
template <class T>
Device<T> on_device(const HeadInputs<T>& in) {
  return in.template in<T, Guarded>([](auto, const auto& v) { return v; });
}

// run() in all orders, which must all give the same bits; same(a, b) compares two results.
template <class F, class Same>
auto always(const F& run, const Same& same) {
  std::vector<decltype(run())> first;
  for (const auto& options : some_orders()) {
    const ScopedOptions scope(options);
    auto result = run();
    if (first.empty()) first.push_back(result);
    REQUIRE(same(result, first[0]));
  }
  return first[0];
}

// Calls check(shape) with each version of `function` that serves the shape, for small shapes also
// with the rule's; shapes of more classes than `most_classes` are left out.
template <class T, class F>
void with_versions(std::string_view function, const F& check, std::int64_t most_classes = 10000) {
  for (const HeadShape& s : kShapes) {
    if (s.classes > most_classes) continue;
    INFO("batch " << s.batch << ", pixels " << s.pixels << ", channels " << s.channels
                  << ", classes " << s.classes);
    if (s.classes < 40) check(s);
    for (const auto version : versions_of(function)) {
      if (!serves<T>(version, s)) continue;
      INFO("version " << version);
      const ScopedVersion scope(function, version);
      check(s);
    }
  }
}

// The most that two sums of `terms` products, of magnitude 1 together, may differ by.
template <class T>
double of_sums(std::int64_t terms) {
  return 2 * double(terms) * epsilon_of<Acc<T>>();
}

// The largest difference; NaN where there is one, infinite where a size differs.
template <class A>
double distance(const std::vector<A>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double off = std::abs(number(a[i]) - b[i]);
    if (!(off <= worst)) worst = off;
    if (std::isnan(worst)) break;
  }
  return worst;
}

}  // namespace

TEMPLATE_TEST_CASE("simt head_forward", "", float, double, bf16) {
  using T = TestType;
  using A = Acc<T>;
  with_versions<T>("head_forward", [](const HeadShape& s) {
    const auto in = head_inputs<T>(s);
    const auto wide = in_double(in);
    const Device<T> device = on_device(in);
    for (const HeadLoss kind : kHeadLosses) {
      if (s.classes > 40 && kind != HeadLoss::rich) continue;  // these take long
      const bool bias = kind != HeadLoss::smooth;
      const auto got =
          always([&] { return head_forward_of<Simt, T>(device, kind, bias); },
                 [](const auto& a, const auto& b) {
                   return same_bits(a.features, b.features) && same_bits(a.logits, b.logits) &&
                          same_bits(a.losses, b.losses) && same_bits(a.dlogits, b.dlogits) &&
                          same_bits(a.weighted, b.weighted) && a.correct == b.correct;
                 });
      const auto expected = head_forward_of<Cpu, double>(wide, kind, bias);
      REQUIRE(distance(got.features, expected.features) <= of_sums<T>(s.pixels + 1));
      // |logit| <= 5; what the features are off by is multiplied by weights of at most 4 together.
      const double logits = 5 * of_sums<T>(s.pixels + s.channels + 2);
      REQUIRE(distance(got.logits, expected.logits) <= logits);
      // The derivative of the loss by its logits adds up to 2 scale, that of its gradient to
      // 2 scale^2; then the loss's own rounding, as in softmax_test.cpp.
      const double loss = 48 * epsilon_of<A>() + double(s.classes) * epsilon_of<double>() +
                          2 * kHeadScale * kHeadScale * logits;
      REQUIRE(max_error(got.losses, expected.losses, 1.0) <= loss);
      REQUIRE(max_error(got.dlogits, expected.dlogits, 1.0) <= loss);
      REQUIRE(max_error(got.weighted, expected.weighted, 1.0) <= loss);
      REQUIRE(got.correct == expected.correct);
    }
  });
}

TEMPLATE_TEST_CASE("simt head_backward", "", float, double, bf16) {
  using T = TestType;
  with_versions<T>("head_backward", [](const HeadShape& s) {
    const auto in = head_inputs<T>(s);
    const Device<T> device = on_device(in);
    const auto same = [](const auto& a, const auto& b) {
      return same_bits(a.first, b.first) && same_bits(a.second, b.second);
    };
    const auto got = always([&] { return head_backward_of<Simt, T>(device); }, same);
    const auto expected = head_backward_of<Cpu, double>(in_double(in));
    const double size = double(s.classes) * 4 / double(s.channels);  // of the magnitudes together
    const double error = size * of_sums<T>(s.classes + 1);
    REQUIRE(distance(got.first, expected.first) <= error);
    if (std::is_same_v<T, bf16>) {
      REQUIRE(error_beyond_rounding(got.second, expected.second) <= error);
    } else {
      REQUIRE(max_error(got.second, expected.second, 1.0) <= error);
    }
    Guarded<Acc<T>> alone(got.first.size());
    head_backward<Simt, T>({}, s, device.weight.data(), device.dlogits.data(), alone.data(),
                           nullptr);
    REQUIRE(same_bits(alone.values(), got.first));
  });
}

TEMPLATE_TEST_CASE("simt head_weight_gradients", "", float, double) {
  using T = TestType;
  with_versions<T>(
      "head_weight_gradients",
      [](const HeadShape& s) {
        const auto in = head_inputs<T>(s);
        const Device<T> device = on_device(in);
        const auto same = [](const auto& a, const auto& b) {
          return same_bits(a.first, b.first) && same_bits(a.second, b.second);
        };
        const auto got = always([&] { return head_weight_gradients_of<Simt, T>(device); }, same);
        const auto expected = head_weight_gradients_of<Cpu, double>(in_double(in));
        const double error = double(s.batch) * of_sums<T>(s.batch);
        REQUIRE(distance(got.first, expected.first) <= error);
        REQUIRE(distance(got.second, expected.second) <= error);
        Guarded<T> alone(got.first.size());
        head_weight_gradients<Simt, T>({}, s, device.features.data(), device.dlogits.data(),
                                       alone.data(), nullptr);
        REQUIRE(same_bits(alone.values(), got.first));
      },
      100);
}

TEMPLATE_TEST_CASE("simt head_jvp", "", float, double, bf16) {
  using T = TestType;
  with_versions<T>("head_jvp", [](const HeadShape& s) {
    const auto in = head_inputs<T>(s);
    const auto wide = in_double(in);
    const Device<T> device = on_device(in);
    for (const int along : {7, 1, 6, 0}) {
      const auto got = always([&] { return head_jvp_of<Simt, T>(device, along); },
                              [](const auto& a, const auto& b) {
                                return same_bits(a.features, b.features) &&
                                       same_bits(a.logits, b.logits) &&
                                       same_bits(a.slopes, b.slopes);
                              });
      const auto expected = head_jvp_of<Cpu, double>(wide, along);
      REQUIRE(distance(got.features, expected.features) <= of_sums<T>(s.pixels + 1));
      // Two products of magnitude 4 and a bias of 1; a slope adds up as many as there are classes.
      const double logits = 9 * of_sums<T>(s.pixels + 2 * s.channels + 3);
      REQUIRE(distance(got.logits, expected.logits) <= logits);
      REQUIRE(distance(got.slopes, expected.slopes) <=
              double(s.classes) * (logits + 9 * of_sums<T>(s.classes)));
    }
  });
}

TEST_CASE("simt head: features and logits alone, nothing at all, and what is refused") {
  const HeadShape s{3, 4, 8, 5};
  const Device<float> in = on_device(head_inputs<float>(s));
  const auto all = head_forward_of<Simt, float>(in, HeadLoss::hard, true);
  for (const auto version : versions_of("head_forward")) {
    const ScopedVersion scope("head_forward", version);
    Guarded<float> features(24), logits(15), scratch(15);
    const Workspace workspace{scratch.data(), 60};
    head_forward<Simt, float>({}, s, in.x.data(), in.weights(true), {}, features.data(),
                              logits.data(), {}, workspace);
    REQUIRE(distance(logits.values(), numbers(all.logits)) <= 5 * of_sums<float>(14));
    const std::string wrong = error_of([&] {
      head_forward<Simt, float>({}, s, in.x.data(), in.weights(true), {2, 5}, features.data(),
                                logits.data(), {logits.data()}, workspace);
    });
    REQUIRE(contains(wrong, "head_forward: expected as many rows of loss as samples, but got 2"));
    const std::string little = error_of([&] {
      head_forward<Simt, float>({}, s, in.x.data(), in.weights(true), {}, features.data(),
                                logits.data(), {}, {});
    });
    REQUIRE(contains(little, "head_forward: expected a workspace"));
    SoftmaxLoss<float> of_none{0, 5};
    of_none.labels = in.labels.data();
    head_forward<Simt, float>({}, {0, 4, 8, 5}, nullptr, {}, of_none, nullptr, nullptr,
                              {features.data()}, {});
  }
  // No sample: weight gradients of zero.
  Guarded<float> dweight(40), dbias(5);
  for (const auto version : versions_of("head_weight_gradients")) {
    const ScopedVersion scope("head_weight_gradients", version);
    head_weight_gradients<Simt, float>({}, {0, 4, 8, 5}, nullptr, nullptr, dweight.data(),
                                       dbias.data());
    REQUIRE(dweight.values() == std::vector<float>(40, 0.0f));
    REQUIRE(dbias.values() == std::vector<float>(5, 0.0f));
  }
  const ScopedVersion warp("head_backward", "warp");
  const auto named = error_of([&] {
    const auto five = on_device(head_inputs<float>({3, 4, 5, 5}));
    head_backward_of<Simt, float>(five);
  });
  REQUIRE(contains(named, "head_backward: expected a type, sizes and addresses"));
  REQUIRE(error_of([&] { head_backward_of<Simt, double>(on_device(head_inputs<double>(s))); }) !=
          "");
}

TEMPLATE_TEST_CASE("simt head_predict", "", float, double) {
  using T = TestType;
  for (const std::int64_t classes : {1, 5, 8, 40, 700}) {
    const std::int64_t rows = 13;
    auto logits = random_numbers<T>(rows * classes, 1);
    const auto at = [&](std::int64_t i, std::int64_t k) -> T& { return logits[i * classes + k]; };
    at(1, classes / 2) = at(1, classes - 1) = 2;
    at(2, classes - 1) = std::numeric_limits<T>::quiet_NaN();
    std::vector<std::int64_t> labels, prediction(rows), right{}, total{};
    for (std::int64_t i = 0; i < rows; ++i)
      labels.push_back(i * i % std::min<std::int64_t>(classes, 6));
    right.assign(std::size_t(classes), 3);
    total.assign(std::size_t(classes), 5);
    const auto right_before = right, total_before = total;
    std::vector<std::uint8_t> correct(rows);
    head_predict<Cpu, T>({}, rows, classes, logits.data(), labels.data(),
                         {prediction.data(), correct.data(), right.data(), total.data()});
    const Input<T> in(logits, "logits");
    const Input<std::int64_t> in_labels(labels, "labels");
    for (const auto version : versions_of("head_predict")) {
      const ScopedVersion scope("head_predict", version);
      for (const auto& options : some_orders()) {
        const ScopedOptions order(options);
        Guarded<std::int64_t> p(std::size_t(rows), "prediction"), r(right_before, "right"),
            t(total_before, "total");
        Guarded<std::uint8_t> c(std::size_t(rows), "correct");
        head_predict<Simt, T>({}, rows, classes, in.data(), in_labels.data(),
                              {p.data(), c.data(), r.data(), t.data()});
        REQUIRE(p.values() == prediction);
        REQUIRE(c.values() == correct);
        REQUIRE(r.values() == right);
        REQUIRE(t.values() == total);
      }
      Guarded<std::int64_t> alone(static_cast<std::size_t>(rows), "prediction");
      head_predict<Simt, T>({}, rows, classes, in.data(), nullptr, {alone.data()});
      REQUIRE(alone.values() == prediction);
      head_predict<Simt, T>({}, 0, classes, nullptr, nullptr, {});
    }
  }
  const Input<T> one(std::vector<T>(3));
  Guarded<std::uint8_t> correct(1);
  REQUIRE(
      contains(error_of([&] {
                 head_predict<Simt, T>({}, 1, 3, one.data(), nullptr, {nullptr, correct.data()});
               }),
               "head_predict: expected labels"));
}
