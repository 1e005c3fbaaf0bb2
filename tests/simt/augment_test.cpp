#include "kernels/augment.h"

#include "kernels/base/error.h"
#include "tests/catch.h"
#include "tests/simt/device.h"

using namespace ek::kernels;
using namespace ek::simt::test;
using ek::bf16;

namespace {

struct Case {
  std::int64_t height, width, reflect_pad, zero_pad, count;
};

// Even sizes take the packed kernel when `out` is aligned for it, odd ones the plain kernel.
// The largest makes two strips of float and three of double, the last one not full.
constexpr Case kCases[] = {{8, 6, 0, 0, 3}, {8, 6, 4, 3, 5}, {8, 6, 5, 4, 7},  {7, 5, 4, 4, 5},
                           {1, 1, 0, 0, 2}, {1, 1, 0, 2, 5}, {1, 16, 0, 1, 3}, {16, 1, 0, 1, 3},
                           {3, 8, 2, 0, 4}, {2, 4, 0, 9, 6}, {60, 48, 4, 4, 2}};
constexpr std::int64_t kImages = 4;

std::vector<std::uint8_t> pixels(std::int64_t count) {
  std::vector<std::uint8_t> values(std::size_t(count), 0);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::uint8_t(1 + i * 37 % 255);
  return values;
}

// The CPU's bits, in all orders, on an aligned output and on one that starts an element later. The
// large positions use both words of the counter.
template <class T>
void check(const Case& of, bool flip) {
  const AugmentSpec spec{of.height, of.width,         of.reflect_pad,  of.zero_pad,
                         flip,      {0.5, 0.4, 0.25}, {0.25, 0.2, 0.1}};
  const AugmentKey key{0x123456789Aull, 3, 7, 1};
  const auto images = pixels(kImages * of.height * of.width * 3);
  std::vector<std::int64_t> index, positions;
  for (std::int64_t i = 0; i < of.count; ++i) {
    index.push_back(i * 3 % kImages);
    positions.push_back(i + (i % 2 << 33));
  }
  std::vector<T> expected(std::size_t(of.count * of.height * of.width * 3));
  augment_images<Cpu, T>({}, spec, key, of.count, images.data(), index.data(), positions.data(),
                         expected.data());
  const Input<std::uint8_t> in_images(images, "images");
  const Input<std::int64_t> in_index(index, "index"), in_positions(positions, "positions");
  for (const int shift : {0, 1}) {
    INFO("height " << of.height << ", width " << of.width << ", reflect_pad " << of.reflect_pad
                   << ", zero_pad " << of.zero_pad << ", flip " << flip << ", shift " << shift);
    by_versions("augment_images", [&] {
      const auto out = in_all_orders<T>(expected.size() + std::size_t(shift), shift, [&](T* to) {
        augment_images<Simt, T>({}, spec, key, of.count, in_images.data(), in_index.data(),
                                in_positions.data(), to);
      });
      REQUIRE(ek::test::same_bits(out, expected));
    });
  }
}

}  // namespace

TEMPLATE_TEST_CASE("simt augmentation has the bits of the CPU", "", float, double, bf16) {
  for (const Case& of : kCases) {
    for (const bool flip : {false, true}) check<TestType>(of, flip);
  }
}

TEMPLATE_TEST_CASE("simt augmentation of no images writes nothing", "", float, double, bf16) {
  using T = TestType;
  ek::simt::Guarded<T> out(1, "out");
  const auto before = out.values();
  augment_images<Simt, T>({}, {4, 4}, {}, 0, nullptr, nullptr, nullptr, out.data());
  REQUIRE(ek::test::same_bits(out.values(), before));
}

// Guarded indices in a kernel would come too late: the source row would lie outside the image.
TEST_CASE("simt augmentation refuses a reflection wider than the image") {
  float out = 0;
  REQUIRE_THROWS_AS(
      (augment_images<Simt, float>({}, {4, 3, 3}, {}, 1, nullptr, nullptr, nullptr, &out)),
      ek::Error);
}
