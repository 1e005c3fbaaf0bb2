#include "kernels/pool.h"

#include "tests/catch.h"
#include "tests/kernels/numbers.h"

using namespace ek::kernels;
using namespace ek::test;

namespace {

// batch, h, w, channels, kernel, stride, padding: the stem of a ResNet, overlapping windows without
// padding, windows that leave pixels over, oblong ones, a window of one pixel.
const std::vector<Pool2dShape> kShapes{{2, 9, 8, 5, 3, 3, 2, 2, 1, 1},
                                       {3, 5, 6, 2, 3, 2, 1, 1, 0, 0},
                                       {1, 7, 7, 16, 2, 2, 3, 3, 0, 0},
                                       {40, 16, 16, 16, 2, 3, 2, 1, 1, 1},
                                       {2, 3, 4, 3, 1, 1, 2, 2, 0, 0}};

// Calls body(out, in) for every output element and every input element of its window that exists.
template <class Body>
void for_windows(const Pool2dShape& s, const Body& body) {
  for (std::int64_t out = 0; out < s.output_size(); ++out) {
    const std::int64_t c = out % s.channels, ow = out / s.channels % s.out_w();
    const std::int64_t oh = out / s.channels / s.out_w() % s.out_h();
    const std::int64_t n = out / s.channels / s.out_w() / s.out_h();
    for (std::int64_t kh = 0; kh < s.kernel_h; ++kh) {
      for (std::int64_t kw = 0; kw < s.kernel_w; ++kw) {
        const std::int64_t h = oh * s.stride_h - s.pad_h + kh, w = ow * s.stride_w - s.pad_w + kw;
        if (h < 0 || h >= s.in_h || w < 0 || w >= s.in_w) continue;
        body(out, ((n * s.in_h + h) * s.in_w + w) * s.channels + c);
      }
    }
  }
}

}  // namespace

TEMPLATE_TEST_CASE("max pooling: forward, gather, scatter", "", float, double) {
  using T = TestType;
  for (const Pool2dShape& s : kShapes) {
    const auto x = random_numbers<T>(s.input_size(), 1), t = random_numbers<T>(s.input_size(), 2);
    const auto dy = random_numbers<T>(s.output_size(), 3);
    std::vector<std::int64_t> expected(s.output_size(), -1), argmax(s.output_size());
    for_windows(s, [&](std::int64_t out, std::int64_t in) {
      if (expected[out] < 0 || number(x[in]) > number(x[expected[out]])) expected[out] = in;
    });
    std::vector<T> y(dy.size()), y_tangent(dy.size()), dx(x.size(), nearest<T>(9));
    std::vector<double> summed(x.size());
    max_pool2d_forward<Cpu, T>({}, s, x.data(), y.data(), argmax.data());
    REQUIRE(argmax == expected);
    max_pool2d_gather<Cpu, T>({}, s.output_size(), t.data(), argmax.data(), y_tangent.data());
    max_pool2d_scatter<Cpu, T>({}, s, dy.data(), argmax.data(), dx.data());
    for (std::size_t i = 0; i < dy.size(); ++i) {
      REQUIRE(number(y[i]) == number(x[expected[i]]));
      REQUIRE(number(y_tangent[i]) == number(t[expected[i]]));
      summed[expected[i]] += number(dy[i]);
    }
    // Up to 9 numbers are added in the accumulation type and rounded to T once.
    REQUIRE(error_beyond_rounding(dx, summed) <= 8 * epsilon_of<Acc<T>>());
    REQUIRE(std::abs(dot(dy, y_tangent) - dot(dx, t)) <= epsilon_of<T>() * double(x.size()));
  }
}

TEST_CASE("max pooling takes the first maximum, and a NaN before any number") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Pool2dShape s{1, 1, 8, 1, 1, 4, 1, 4};
  const std::vector<float> x{1, 3, 3, 2, 5, nan, 7, nan};
  std::vector<float> y(2);
  std::vector<std::int64_t> argmax(2);
  max_pool2d_forward<Cpu, float>({}, s, x.data(), y.data(), argmax.data());
  REQUIRE((y[0] == 3 && argmax[0] == 1));
  REQUIRE((std::isnan(y[1]) && argmax[1] == 5));
  // Padding never wins, even over negative numbers.
  const Pool2dShape padded{1, 2, 2, 1, 3, 3, 1, 1, 1, 1};
  const std::vector<float> negative{-4, -3, -2, -9};
  std::vector<float> out(4);
  std::vector<std::int64_t> from(4);
  max_pool2d_forward<Cpu, float>({}, padded, negative.data(), out.data(), from.data());
  REQUIRE(out == std::vector<float>(4, -2.0f));
}

TEMPLATE_TEST_CASE("average pooling: forward and backward", "", float, double) {
  using T = TestType;
  for (const Pool2dShape& s : kShapes) {
    const auto x = random_numbers<T>(s.input_size(), 4);
    const auto dy = random_numbers<T>(s.output_size(), 5);
    const double scale = 1.0 / double(s.kernel_h * s.kernel_w);  // padding counts as zeros
    std::vector<double> y(dy.size()), dx(x.size());
    for_windows(s, [&](std::int64_t out, std::int64_t in) {
      y[out] += scale * number(x[in]);
      dx[in] += scale * number(dy[out]);
    });
    std::vector<T> got_y(y.size(), nearest<T>(9)), got_dx(dx.size(), nearest<T>(9));
    avg_pool2d_forward<Cpu, T>({}, s, x.data(), got_y.data());
    avg_pool2d_backward<Cpu, T>({}, s, dy.data(), got_dx.data());
    REQUIRE(error_beyond_rounding(got_y, y) <= 8 * epsilon_of<Acc<T>>());
    REQUIRE(error_beyond_rounding(got_dx, dx) <= 8 * epsilon_of<Acc<T>>());
  }
}

// The features are in the accumulation type, the images in T.
TEMPLATE_TEST_CASE("global average pooling", "", float, double, ek::bf16) {
  using T = TestType;
  using A = Acc<T>;
  const std::int64_t batch = 37, pixels = 64, channels = 19;
  const auto x = random_numbers<T>(batch * pixels * channels, 6);
  const auto dy = random_numbers<A>(batch * channels, 7);
  std::vector<double> y(dy.size()), dx(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t out = i / (pixels * channels) * channels + i % channels;
    y[out] += number(x[i]) / pixels;
    dx[i] = double(dy[out]) / pixels;
  }
  std::vector<A> got_y(y.size());
  std::vector<T> got_dx(dx.size());
  global_avg_pool_forward<Cpu, T>({}, batch, pixels, channels, x.data(), got_y.data());
  global_avg_pool_backward<Cpu, T>({}, batch, pixels, channels, dy.data(), got_dx.data());
  REQUIRE(max_error(got_y, y, 1) <= 16 * epsilon_of<A>());
  REQUIRE(error_beyond_rounding(got_dx, dx) <= epsilon_of<A>());
}

TEMPLATE_TEST_CASE("the subsampling shortcut and its transpose", "", float, double, ek::bf16) {
  using T = TestType;
  for (const SubsampleShape& s : {SubsampleShape{3, 8, 6, 4, 8}, SubsampleShape{2, 5, 7, 3, 8},
                                  SubsampleShape{2, 4, 4, 4, 4, 1}}) {
    const auto x = random_numbers<T>(s.batch * s.in_h * s.in_w * s.in_c, 8);
    const auto dy = random_numbers<T>(s.batch * s.out_h() * s.out_w() * s.out_c, 9);
    const T nine = nearest<T>(9);
    std::vector<T> y(dy.size(), nine), dx(x.size(), nine), expected(dy.size());
    for (std::int64_t i = 0; i < std::int64_t(y.size()); ++i) {
      const std::int64_t c = i % s.out_c - s.pad_before(), w = i / s.out_c % s.out_w() * s.stride;
      const std::int64_t h = i / s.out_c / s.out_w() % s.out_h() * s.stride;
      const std::int64_t n = i / s.out_c / s.out_w() / s.out_h();
      if (0 <= c && c < s.in_c) expected[i] = x[((n * s.in_h + h) * s.in_w + w) * s.in_c + c];
    }
    subsample_pad_forward<Cpu, T>({}, s, x.data(), y.data());
    subsample_pad_backward<Cpu, T>({}, s, dy.data(), dx.data());
    REQUIRE(same_bits(numbers(y), numbers(expected)));
    REQUIRE(std::abs(dot(dy, y) - dot(dx, x)) <= epsilon_of<T>());
    // dx holds each cotangent that reached a pixel once, and zeros elsewhere.
    const auto wide = numbers(dx);
    REQUIRE(std::count(wide.begin(), wide.end(), 0.0) ==
            std::int64_t(x.size()) - s.batch * s.out_h() * s.out_w() * s.in_c);
  }
}

TEST_CASE("pooling bits do not depend on threads") {
  using T = float;
  const Pool2dShape s{40, 16, 16, 16, 3, 3, 2, 2, 1, 1};
  const auto x = random_numbers<T>(s.input_size(), 10);
  std::vector<T> first;
  for (int threads : {1, 2, 4}) {
    const Threads scope(threads);
    std::vector<T> y(s.output_size()), dx(x.size());
    std::vector<std::int64_t> argmax(y.size());
    max_pool2d_forward<Cpu, T>({}, s, x.data(), y.data(), argmax.data());
    max_pool2d_scatter<Cpu, T>({}, s, y.data(), argmax.data(), dx.data());
    avg_pool2d_forward<Cpu, T>({}, s, dx.data(), y.data());
    avg_pool2d_backward<Cpu, T>({}, s, y.data(), dx.data());
    if (first.empty()) first = dx;
    REQUIRE(same_bits(numbers(dx), numbers(first)));
  }
}

TEMPLATE_TEST_CASE("global pooling bits do not depend on threads", "", float, ek::bf16) {
  using T = TestType;
  const std::int64_t batch = 67, pixels = 64, channels = 70;
  const auto x = random_numbers<T>(batch * pixels * channels, 11);
  std::vector<double> first;
  for (int threads : {1, 2, 4}) {
    const Threads scope(threads);
    std::vector<Acc<T>> y(batch * channels);
    std::vector<T> dx(x.size());
    global_avg_pool_forward<Cpu, T>({}, batch, pixels, channels, x.data(), y.data());
    global_avg_pool_backward<Cpu, T>({}, batch, pixels, channels, y.data(), dx.data());
    auto all = numbers(dx);
    all.insert(all.end(), y.begin(), y.end());
    if (first.empty()) first = all;
    REQUIRE(same_bits(all, first));
  }
}
