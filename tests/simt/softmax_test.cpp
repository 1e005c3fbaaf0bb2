#include "kernels/softmax.h"

#include "kernels/base/error.h"
#include "tests/kernels/softmax_run.h"
#include "tests/simt/device.h"

using namespace ek::kernels;
using namespace ek::simt::test;
using ek::simt::Guarded;
using ek::simt::ScopedOptions;
using ek::test::as;
using ek::test::Case;
using ek::test::Instance;
using ek::test::max_error;
using ek::test::Numbers;
using ek::test::random_numbers;
using ek::test::Result;
using ek::test::same_bits;

namespace {

// Rows for a thread, a warp and a block, full and ragged.
struct Shape {
  std::int64_t rows, classes;
};
constexpr Shape kShapes[] = {{1, 1},  {5, 2},    {300, 7}, {9, 8},   {3, 31},
                             {7, 33}, {13, 100}, {2, 512}, {3, 513}, {2, 1003}};

// Numbers that float holds exactly, so that a double reference sees the same ones.
Numbers exact(std::int64_t count, std::uint32_t seed, float scale) {
  Numbers x;
  for (float v : random_numbers<float>(count, seed)) x.push_back(double(scale * v));
  return x;
}

Case case_of(Shape shape, float scale) {
  Case c{exact(shape.rows * shape.classes, 1, scale), Numbers(shape.classes, 1), {}};
  for (std::int64_t i = 0; i < shape.rows; ++i) c.labels.push_back(i * 7 % shape.classes);
  return c;
}

struct Want {
  bool losses = true, dlogits = true, weighted = true, correct = true;
};

template <class T>
Result<T> simt_run(const Case& c, const Instance& instance, double smoothing, double divisor,
                   const Numbers& sample_weight, Want want = {}) {
  Result<T> first;
  for (const auto& options : some_orders()) {
    const ScopedOptions scope(options);
    const Input<T> z(as<T>(c.logits), "logits"), offset(as<T>(instance.offset), "offset"),
        margin(as<T>(instance.margin), "margin"), targets(as<T>(instance.targets), "targets"),
        weight(as<T>(instance.class_weight), "class_weight"),
        samples(as<T>(sample_weight), "sample_weight");
    const Input<std::int64_t> labels(c.labels, "labels");
    const Input<std::uint8_t> mask(instance.mask, "mask");
    const auto or_null = [](const auto& x) { return x.size() == 0 ? nullptr : x.data(); };
    SoftmaxLoss<T> loss{c.rows(), c.classes()};
    loss.scale = instance.scale;
    loss.label_smoothing = smoothing;
    loss.labels = labels.data();
    loss.targets = or_null(targets);
    loss.offset = or_null(offset);
    loss.margin = or_null(margin);
    loss.mask = or_null(mask);
    loss.class_weight = or_null(weight);
    loss.sample_weight = or_null(samples);
    loss.divisor = divisor;
    const std::size_t rows = c.labels.size(), all = c.logits.size();
    Guarded<T> losses(want.losses ? rows : 0, "losses"), dlogits(want.dlogits ? all : 0, "dlogits"),
        weighted(want.weighted ? all : 0, "weighted");
    Guarded<std::uint8_t> correct(want.correct ? rows : 0, "correct");
    softmax_loss<Simt, T>(
        {}, loss, z.data(),
        {want.losses ? losses.data() : nullptr, want.dlogits ? dlogits.data() : nullptr,
         want.weighted ? weighted.data() : nullptr, want.correct ? correct.data() : nullptr});
    const Result<T> r{losses.values(), dlogits.values(), weighted.values(), correct.values()};
    if (first.losses.empty() && first.weighted.empty()) first = r;
    REQUIRE(same_bits(r.losses, first.losses));
    REQUIRE(same_bits(r.dlogits, first.dlogits));
    REQUIRE(same_bits(r.weighted, first.weighted));
    REQUIRE(r.correct == first.correct);
  }
  return first;
}

Result<double> reference(const Case& c, const Instance& instance, double smoothing, double divisor,
                         const Numbers& sample_weight) {
  if (smoothing == 0) return ek::test::run<double>(c, instance, divisor, sample_weight);
  SoftmaxLoss<double> loss{c.rows(), c.classes()};
  loss.label_smoothing = smoothing;
  loss.labels = c.labels.data();
  loss.divisor = divisor;
  Result<double> r{Numbers(c.labels.size()), Numbers(c.logits.size()), Numbers(c.logits.size()),
                   std::vector<std::uint8_t>(c.labels.size())};
  softmax_loss<Cpu, double>(
      {}, loss, c.logits.data(),
      {r.losses.data(), r.dlogits.data(), r.weighted.data(), r.correct.data()});
  return r;
}

// Adjusted logits u of size below 16 err by 8 units of T's epsilon, and so do, relative, the
// probabilities and their sum; the reference's own sum errs by a unit of double's for each class.
template <class T>
void compare(const Case& c, const Instance& instance, double smoothing = 0, double divisor = 1,
             const Numbers& sample_weight = {}) {
  const auto expected = reference(c, instance, smoothing, divisor, sample_weight);
  CAPTURE(c.rows(), c.classes());
  const double tolerance = 48 * double(std::numeric_limits<T>::epsilon()) +
                           double(c.classes()) * std::numeric_limits<double>::epsilon();
  const double small = 1 / double(c.classes());
  const auto check = [&] {
    const auto got = simt_run<T>(c, instance, smoothing, divisor, sample_weight);
    REQUIRE(max_error(got.losses, expected.losses, 1.0) <= tolerance);
    REQUIRE(max_error(got.dlogits, expected.dlogits, small) <= tolerance);
    REQUIRE(max_error(got.weighted, expected.weighted, small) <= tolerance);
    REQUIRE(got.correct == expected.correct);
  };
  if (c.rows() > 20) return check();  // a block for each of many rows takes long
  by_versions("softmax_loss", check);
}

// offset, margin, scale, soft targets, mask, class and sample weights.
Instance rich(const Case& c, bool soft) {
  Instance all{1.5, exact(c.classes(), 2, 1), exact(c.classes(), 3, 1),
               {},  exact(c.classes(), 4, 2), {}};
  const std::int64_t n = c.rows() * c.classes();
  for (std::int64_t j = 0; j < n; ++j) all.mask.push_back(j % 5 != 2 || c.classes() < 3);
  // Powers of two that sum to 1, some of them 0.
  for (std::int64_t j = 0; soft && j < n; ++j) {
    const std::int64_t k = j % c.classes();
    all.targets.push_back(c.classes() == 1 ? 1 : k == 0 ? 0.5 : k == c.classes() - 1 ? 0.5 : 0);
  }
  return all;
}

}  // namespace

TEMPLATE_TEST_CASE("simt softmax_loss: hard labels", "", float, double) {
  for (const Shape shape : kShapes) compare<TestType>(case_of(shape, 6), {});
}

TEMPLATE_TEST_CASE("simt softmax_loss: label smoothing", "", float, double) {
  for (const Shape shape : kShapes) compare<TestType>(case_of(shape, 6), {}, 0.25, 8);
}

TEMPLATE_TEST_CASE("simt softmax_loss: every option at once", "", float, double) {
  for (const Shape shape : kShapes) {
    const Case c = case_of(shape, 4);
    const Numbers samples = exact(shape.rows, 5, 3);
    compare<TestType>(c, rich(c, false), 0, 4, samples);
    compare<TestType>(c, rich(c, true), 0, 4, samples);
  }
}

TEMPLATE_TEST_CASE("simt softmax_loss_vjp and softmax_loss_jvp", "", float, double) {
  using T = TestType;
  for (const auto& [rows, classes] : kShapes) {
    CAPTURE(rows, classes);
    const auto d = random_numbers<T>(rows * classes, 3), t = random_numbers<T>(rows * classes, 4);
    const auto cotangent = random_numbers<T>(rows, 5);
    std::vector<T> scaled(d.size()), slopes(static_cast<std::size_t>(rows));
    softmax_loss_vjp<Cpu, T>({}, rows, classes, d.data(), cotangent.data(), scaled.data());
    softmax_loss_jvp<Cpu, T>({}, rows, classes, d.data(), t.data(), slopes.data());
    const Input<T> dlogits(d), tangent(t), by(cotangent);
    REQUIRE(same_bits(in_all_orders<T>(d.size(), 0,
                                       [&](T* to) {
                                         softmax_loss_vjp<Simt, T>({}, rows, classes,
                                                                   dlogits.data(), by.data(), to);
                                       }),
                      scaled));
    // The same products added in double in another order, then rounded once.
    const auto got = in_all_orders<T>(slopes.size(), 0, [&](T* to) {
      softmax_loss_jvp<Simt, T>({}, rows, classes, dlogits.data(), tangent.data(), to);
    });
    REQUIRE(max_error(got, slopes, 1) <=
            std::max(double(std::numeric_limits<T>::epsilon()), 1e-12));
  }
}

TEST_CASE("simt softmax_loss writes what is asked for, always the same bits") {
  for (const Shape shape : {Shape{9, 7}, Shape{5, 33}, Shape{2, 700}}) {
    const Case c = case_of(shape, 6);
    for (const double smoothing : {0.0, 0.5}) {
      const auto all = simt_run<float>(c, {}, smoothing, 2, {});
      const auto losses = simt_run<float>(c, {}, smoothing, 2, {}, {true, false, false, false});
      REQUIRE(same_bits(losses.losses, all.losses));
      const auto weighted = simt_run<float>(c, {}, smoothing, 2, {}, {false, false, true, true});
      REQUIRE(same_bits(weighted.weighted, all.weighted));
      REQUIRE(weighted.correct == all.correct);
    }
  }
}

// What is not finite comes out where it does on the CPU; a small loss keeps its precision.
TEMPLATE_TEST_CASE("simt softmax_loss at the extremes", "", float, double) {
  using T = TestType;
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  const double big = double(std::numeric_limits<T>::max()) / 4;
  for (const std::int64_t classes : {5, 40, 600}) {
    Case c{{}, Numbers(classes, 1), {}};
    const std::vector<Numbers> heads{{20, 0, 0},  {big, -big, 0}, {-inf, -inf, -inf}, {inf, 0, 0},
                                     {0, nan, 0}, {nan, 0, 0},    {0, inf, inf}};
    for (const Numbers& head : heads) {
      c.logits.insert(c.logits.end(), head.begin(), head.end());
      c.logits.insert(c.logits.end(), std::size_t(classes) - 3, -inf);
      c.labels.push_back(0);
    }
    // A row of which nothing is in the partition.
    Instance masked;
    c.logits.insert(c.logits.end(), std::size_t(classes), 1.0);
    c.labels.push_back(classes - 1);
    masked.mask.assign(c.logits.size(), 1);
    std::fill(masked.mask.end() - classes, masked.mask.end(), std::uint8_t(0));
    const auto got = simt_run<T>(c, masked, 0, 1, {});
    const auto expected = ek::test::run<T>(c, masked, 1);
    REQUIRE(got.correct == expected.correct);
    const double tolerance = 8 * double(std::numeric_limits<T>::epsilon());
    const auto check = [&](T a, T b) {
      REQUIRE(std::isnan(a) == std::isnan(b));
      if (!std::isnan(b) && a != b) {
        REQUIRE(std::abs(double(a) - double(b)) <= tolerance * std::abs(double(b)));
      }
    };
    for (std::size_t i = 0; i < got.losses.size(); ++i) check(got.losses[i], expected.losses[i]);
    for (std::size_t j = 0; j < got.dlogits.size(); ++j) check(got.dlogits[j], expected.dlogits[j]);
    REQUIRE(got.losses[0] > 0);
    REQUIRE(std::isnan(got.losses.back()));
  }
}

TEMPLATE_TEST_CASE("simt softmax and its log-sum-exp", "", float, double) {
  using T = TestType;
  for (const Shape shape : kShapes) {
    const Numbers z = exact(shape.rows * shape.classes, 6, 10);
    Numbers p(z.size()), lse(shape.rows);
    softmax<Cpu, double>({}, shape.rows, shape.classes, z.data(), p.data(), lse.data());
    const Input<T> in(as<T>(z));
    const auto call = [&](T* to_p, T* to_lse) {
      softmax<Simt, T>({}, shape.rows, shape.classes, in.data(), to_p, to_lse);
    };
    // As above; differences to the maximum are at most 20.
    const double tolerance = 48 * double(std::numeric_limits<T>::epsilon()) +
                             double(shape.classes) * std::numeric_limits<double>::epsilon();
    const auto check = [&] {
      const auto got_p = in_all_orders<T>(p.size(), 0, [&](T* to) { call(to, nullptr); });
      const auto got_lse = in_all_orders<T>(lse.size(), 0, [&](T* to) { call(nullptr, to); });
      REQUIRE(max_error(got_p, p, 1e-8) <= tolerance);
      REQUIRE(max_error(got_lse, lse, 1.0) <= tolerance);
    };
    if (shape.rows > 20) {
      check();
    } else {
      by_versions("softmax", check);
    }
  }
}

TEST_CASE("simt softmax kernels of no rows write nothing, and wrong arguments are refused") {
  softmax<Simt, float>({}, 0, 100, nullptr, nullptr, nullptr);
  SoftmaxLoss<float> loss{0, 100};
  const std::vector<std::int64_t> labels{0, 3};
  const std::vector<float> q(6, 1.0f / 3);
  loss.labels = labels.data();
  softmax_loss<Simt, float>({}, loss, nullptr, {});
  loss = {2, 3};
  CHECK_THROWS_AS((softmax_loss<Simt, float>({}, loss, q.data(), {})), ek::Error);
  loss.targets = q.data();
  loss.label_smoothing = 0.1;
  CHECK_THROWS_AS((softmax_loss<Simt, float>({}, loss, q.data(), {})), ek::Error);
  loss.label_smoothing = 0;
  loss.margin = q.data();
  CHECK_THROWS_AS((softmax_loss<Simt, float>({}, loss, q.data(), {})), ek::Error);
}

TEST_CASE("simt softmax_loss names a label outside the classes") {
  for (const std::int64_t classes : {3, 40, 600}) {
    const Input<float> z(std::vector<float>(std::size_t(2 * classes), 0.5f));
    const Input<std::int64_t> labels(std::vector<std::int64_t>{0, classes}, "labels");
    Guarded<float> losses(2);
    SoftmaxLoss<float> loss{2, classes};
    loss.labels = labels.data();
    CHECK_THROWS_AS((softmax_loss<Simt, float>({}, loss, z.data(), {losses.data()})), ek::Error);
  }
}
