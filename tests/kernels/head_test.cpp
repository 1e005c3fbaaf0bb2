// The classification head of the CPU: forward by hand, derivatives by differences and by each
// other. tests/simt/head_test.cpp compares the GPU's versions with it.
#include "kernels/head.h"

#include <numeric>

#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/kernels/head_run.h"

using namespace ek::kernels;
using namespace ek::test;
using ek::bf16;

namespace {

constexpr HeadShape kShape{5, 6, 9, 7};

// Sums of at most 60 products of magnitude 5 together.
constexpr double kSums = 60 * 5 * 0x1p-52;

double total(const std::vector<double>& x) {
  return std::accumulate(x.begin(), x.end(), 0.0);
}

}  // namespace

TEST_CASE("head_forward is the mean over the pixels, a linear classifier and softmax_loss") {
  const auto in = head_inputs<double>(kShape);
  for (const bool bias : {false, true}) {
    std::vector<double> features, logits;
    for (std::int64_t i = 0; i < kShape.batch; ++i) {
      for (std::int64_t c = 0; c < kShape.channels; ++c) {
        double sum = 0;
        for (std::int64_t p = 0; p < kShape.pixels; ++p) {
          sum += in.x[std::size_t((i * kShape.pixels + p) * kShape.channels + c)];
        }
        features.push_back(sum / double(kShape.pixels));
      }
      for (std::int64_t k = 0; k < kShape.classes; ++k) {
        double sum = bias ? in.bias[std::size_t(k)] : 0;
        for (std::int64_t c = 0; c < kShape.channels; ++c) {
          sum += features[std::size_t(i * kShape.channels + c)] *
                 in.weight[std::size_t(k * kShape.channels + c)];
        }
        logits.push_back(sum);
      }
    }
    for (const HeadLoss kind : kHeadLosses) {
      const auto got = head_forward_of<Cpu, double>(in, kind, bias);
      REQUIRE(max_error(got.features, features, 1) <= kSums);
      REQUIRE(max_error(got.logits, logits, 1) <= kSums);
      HeadResult<double> loss = got;
      softmax_loss<Cpu, double>(
          {}, in.loss(kind), got.logits.data(),
          {loss.losses.data(), loss.dlogits.data(), loss.weighted.data(), loss.correct.data()});
      REQUIRE(same_bits(loss.losses, got.losses));
      REQUIRE(same_bits(loss.dlogits, got.dlogits));
      REQUIRE(same_bits(loss.weighted, got.weighted));
      REQUIRE(loss.correct == got.correct);
    }
  }
}

TEST_CASE("the slopes of head_jvp are the differences of the losses") {
  auto in = head_inputs<double>(kShape);
  for (const HeadLoss kind : kHeadLosses) {
    const auto here = head_forward_of<Cpu, double>(in, kind, true);
    in.features = here.features;
    in.dlogits = here.dlogits;
    for (const int along : {1, 2, 4, 7}) {
      const auto tangents = head_jvp_of<Cpu, double>(in, along);
      // Four points: an error of step^4, and of rounding over step.
      const double step = 1e-3;
      const auto losses = [&](double by) {
        auto moved = in;
        const auto move = [by](std::vector<double>& x, const std::vector<double>& d) {
          for (std::size_t i = 0; i < x.size(); ++i) x[i] += by * d[i];
        };
        if (along & 1) move(moved.x, in.x_tangent);
        if (along & 2) move(moved.weight, in.weight_tangent);
        if (along & 4) move(moved.bias, in.bias_tangent);
        return head_forward_of<Cpu, double>(moved, kind, true).losses;
      };
      const auto a = losses(-2 * step), b = losses(-step), c = losses(step), d = losses(2 * step);
      std::vector<double> slopes;
      for (std::size_t i = 0; i < a.size(); ++i) {
        slopes.push_back((8 * (c[i] - b[i]) - (d[i] - a[i])) / (12 * step));
      }
      REQUIRE(max_error(tangents.slopes, slopes, 1) <= 1e-9);
    }
  }
}

TEST_CASE("the cotangents of the head are the transpose of its tangents") {
  const auto in = head_inputs<double>(kShape);
  const auto [dfeatures, dx] = head_backward_of<Cpu, double>(in);
  const auto [dweight, dbias] = head_weight_gradients_of<Cpu, double>(in);
  const auto slopes = [&](int along) { return total(head_jvp_of<Cpu, double>(in, along).slopes); };
  const double tolerance = 16 * kSums * double(kShape.batch * kShape.classes);
  REQUIRE(std::abs(dot(dx, in.x_tangent) - slopes(1)) <= tolerance);
  REQUIRE(std::abs(dot(dweight, in.weight_tangent) - slopes(2)) <= tolerance);
  REQUIRE(std::abs(dot(dbias, in.bias_tangent) - slopes(4)) <= tolerance);
  REQUIRE(slopes(0) == 0);
}

// Images are exact in bf16: all that follows is float32.
TEST_CASE("the head takes bf16 images and stores their gradient in bf16") {
  const auto in = head_inputs<bf16>(kShape);
  const auto wide = in.in<float, Vector>([](auto to, const auto& v) {
    std::vector<decltype(to)> out;
    for (const auto& value : v) out.push_back(decltype(to)(number(value)));
    return out;
  });
  const auto narrow_run = head_forward_of<Cpu, bf16>(in, HeadLoss::rich, true);
  const auto wide_run = head_forward_of<Cpu, float>(wide, HeadLoss::rich, true);
  REQUIRE(max_error(narrow_run.logits, wide_run.logits, 1) <= 1e-5);
  REQUIRE(max_error(narrow_run.losses, wide_run.losses, 1) <= 1e-5);
  const auto dx = head_backward_of<Cpu, bf16>(in).second;
  REQUIRE(error_beyond_rounding(dx, head_backward_of<Cpu, float>(wide).second) <= 1e-6);
}

TEST_CASE("head_predict counts by class") {
  const std::vector<double> logits{1, 2, 0, 3, 3, 1, 0, 0, std::nan(""), 0, 1, 5};
  const std::vector<std::int64_t> labels{1, 0, 2, 1};
  std::vector<std::int64_t> prediction(4), right{1, 1, 1}, total{2, 2, 2};
  std::vector<std::uint8_t> correct(4);
  head_predict<Cpu, double>({}, 4, 3, logits.data(), labels.data(),
                            {prediction.data(), correct.data(), right.data(), total.data()});
  REQUIRE(prediction == std::vector<std::int64_t>{1, 0, -1, 2});
  REQUIRE(correct == std::vector<std::uint8_t>{1, 1, 0, 0});
  REQUIRE(right == std::vector<std::int64_t>{2, 2, 1});
  REQUIRE(total == std::vector<std::int64_t>{3, 4, 3});
  const std::vector<std::int64_t> outside{1, 0, 3, 1};
  const std::string wrong = error_of([&] {
    head_predict<Cpu, double>({}, 4, 3, logits.data(), outside.data(), {prediction.data()});
  });
  REQUIRE(wrong == "head_predict: expected labels in [0, 3), but row 2 has 3");
}
