#include "kernels/pool.h"

#include "tests/catch.h"
#include "tests/kernels/numbers.h"
#include "tests/simt/device.h"

using namespace ek::kernels;
using namespace ek::simt::test;
using namespace ek::test;
using ek::bf16;

namespace {

// One pass of `function` from x to y on both sides: run(tag, from, to). All versions must give the
// same bits.
template <class From, class To, class F>
std::pair<std::vector<To>, std::vector<To>> both(std::string_view function,
                                                 const std::vector<From>& x, std::int64_t size,
                                                 int shift, const F& run) {
  std::vector<To> expected(static_cast<std::size_t>(size));
  run(Cpu{}, x.data(), expected.data());
  const auto y = in_all_versions<To>(function, expected.size(), shift, [&](To* to) {
    const Input<From> in(shifted(x, shift));
    run(Simt{}, in.data() + shift, to);
  });
  return {y, expected};
}

struct GlobalShape {
  std::int64_t batch, pixels, channels;
};
const GlobalShape kGlobal[] = {{1, 1, 1}, {3, 49, 5}, {5, 9, 24}, {2, 7, 1040}};

const SubsampleShape kSubsample[] = {
    {1, 1, 1, 1, 1}, {2, 5, 3, 3, 6}, {2, 4, 4, 16, 32}, {3, 7, 6, 8, 12}, {1, 6, 5, 8, 24, 3}};

const Pool2dShape kPools[] = {{1, 1, 1, 1, 1, 1, 1, 1},
                              {2, 7, 5, 3, 3, 3, 2, 2, 1, 1},
                              {2, 6, 6, 8, 2, 2, 2, 2},
                              {1, 5, 8, 12, 3, 2, 1, 3, 1, 0}};

}  // namespace

TEMPLATE_TEST_CASE("simt global average pooling", "", float, double, bf16) {
  using T = TestType;
  using A = Acc<T>;
  for (const auto& [batch, pixels, channels] : kGlobal) {
    for (const int shift : {0, 1}) {
      CAPTURE(batch, pixels, channels, shift);
      const auto x = random_numbers<T>(batch * pixels * channels, 1);
      const auto [y, expected] = both<T, A>(
          "global_avg_pool_forward", x, batch * channels, shift,
          [batch = batch, pixels = pixels, channels = channels](auto tag, const T* in, A* out) {
            global_avg_pool_forward<decltype(tag), T>({}, batch, pixels, channels, in, out);
          });
      REQUIRE(max_error(y, expected, 1) <= 4 * epsilon_of<A>());

      const auto dy = random_numbers<A>(batch * channels, 2);
      const auto [dx, expected_dx] = both<A, T>(
          "global_avg_pool_backward", dy, batch * pixels * channels, shift,
          [batch = batch, pixels = pixels, channels = channels](auto tag, const A* in, T* out) {
            global_avg_pool_backward<decltype(tag), T>({}, batch, pixels, channels, in, out);
          });
      REQUIRE(max_error(dx, expected_dx, 1) <= 4 * epsilon_of<T>());
    }
  }
}

TEMPLATE_TEST_CASE("simt subsampling shortcuts are those of the CPU bit for bit", "", float, double,
                   bf16) {
  using T = TestType;
  for (const SubsampleShape& s : kSubsample) {
    const std::int64_t in = s.batch * s.in_h * s.in_w * s.in_c;
    const std::int64_t out = s.batch * s.out_h() * s.out_w() * s.out_c;
    for (const int shift : {0, 1}) {
      CAPTURE(s.in_h, s.in_w, s.in_c, s.out_c, s.stride, shift);
      const auto [y, expected] =
          both<T, T>("subsample_pad_forward", random_numbers<T>(in, 3), out, shift,
                     [&](auto tag, const T* from, T* to) {
                       subsample_pad_forward<decltype(tag), T>({}, s, from, to);
                     });
      REQUIRE(same_bits(y, expected));
      const auto [dx, expected_dx] =
          both<T, T>("subsample_pad_backward", random_numbers<T>(out, 4), in, shift,
                     [&](auto tag, const T* from, T* to) {
                       subsample_pad_backward<decltype(tag), T>({}, s, from, to);
                     });
      REQUIRE(same_bits(dx, expected_dx));
    }
  }
}

TEMPLATE_TEST_CASE("simt maximum pooling", "", float, double) {
  using T = TestType;
  for (const Pool2dShape& s : kPools) {
    for (const int shift : {0, 1}) {
      CAPTURE(s.in_h, s.in_w, s.channels, s.kernel_h, s.kernel_w, shift);
      // Few values, so that windows have ties, and a NaN now and then.
      auto x = random_numbers<T>(s.input_size(), 5);
      for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] = i % 37 == 36 ? std::numeric_limits<T>::quiet_NaN() : std::round(3 * x[i]);
      }
      const auto size = std::size_t(s.output_size());
      std::vector<T> expected(size);
      std::vector<std::int64_t> argmax(size);
      max_pool2d_forward<Cpu, T>({}, s, x.data(), expected.data(), argmax.data());
      const Input<T> in(shifted(x, shift));
      const auto y = in_all_versions<T>("max_pool2d_forward", size, shift, [&](T* to) {
        ek::simt::Guarded<std::int64_t> chosen(size, "argmax");
        max_pool2d_forward<Simt, T>({}, s, in.data() + shift, to, chosen.data());
        REQUIRE(chosen.values() == argmax);
      });
      REQUIRE(same_bits(y, expected));

      const Input<std::int64_t> chosen(argmax);
      const auto numbers = random_numbers<T>(s.input_size(), 6);
      const auto gathered =
          both<T, T>("max_pool2d_gather", numbers, s.output_size(), shift,
                     [&](auto tag, const T* from, T* to) {
                       const bool cpu = std::is_same_v<decltype(tag), Cpu>;
                       max_pool2d_gather<decltype(tag), T>({}, s.output_size(), from,
                                                           cpu ? argmax.data() : chosen.data(), to);
                     });
      REQUIRE(same_bits(gathered.first, gathered.second));
      const auto scattered = both<T, T>("max_pool2d_scatter", random_numbers<T>(s.output_size(), 7),
                                        s.input_size(), shift, [&](auto tag, const T* from, T* to) {
                                          const bool cpu = std::is_same_v<decltype(tag), Cpu>;
                                          max_pool2d_scatter<decltype(tag), T>(
                                              {}, s, from, cpu ? argmax.data() : chosen.data(), to);
                                        });
      REQUIRE(max_error(scattered.first, scattered.second, 1) <= 8 * epsilon_of<T>());
    }
  }
}

TEMPLATE_TEST_CASE("simt average pooling", "", float, double) {
  using T = TestType;
  for (const Pool2dShape& s : kPools) {
    for (const int shift : {0, 1}) {
      CAPTURE(s.in_h, s.in_w, s.channels, s.kernel_h, s.kernel_w, shift);
      const auto [y, expected] =
          both<T, T>("avg_pool2d_forward", random_numbers<T>(s.input_size(), 8), s.output_size(),
                     shift, [&](auto tag, const T* from, T* to) {
                       avg_pool2d_forward<decltype(tag), T>({}, s, from, to);
                     });
      REQUIRE(max_error(y, expected, 1) <= 8 * epsilon_of<T>());
      const auto [dx, expected_dx] =
          both<T, T>("avg_pool2d_backward", random_numbers<T>(s.output_size(), 9), s.input_size(),
                     shift, [&](auto tag, const T* from, T* to) {
                       avg_pool2d_backward<decltype(tag), T>({}, s, from, to);
                     });
      REQUIRE(max_error(dx, expected_dx, 1) <= 8 * epsilon_of<T>());
    }
  }
}

TEST_CASE("simt pooling takes an empty batch") {
  global_avg_pool_forward<Simt, float>({}, 0, 4, 8, nullptr, nullptr);
  global_avg_pool_backward<Simt, float>({}, 0, 4, 8, nullptr, nullptr);
  subsample_pad_forward<Simt, float>({}, {0, 4, 4, 8, 8}, nullptr, nullptr);
  subsample_pad_backward<Simt, float>({}, {0, 4, 4, 8, 8}, nullptr, nullptr);
  max_pool2d_gather<Simt, float>({}, 0, nullptr, nullptr, nullptr);
}
