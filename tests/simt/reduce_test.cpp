#include "kernels/reduce.h"

#include "kernels/base/error.h"
#include "tests/simt/device.h"

using namespace ek::kernels;
using namespace ek::simt::test;
using ek::simt::Guarded;
using ek::test::max_error;
using ek::test::random_numbers;
using ek::test::same_bits;

namespace {

// small, large: nothing to sum; few terms; columns, rows for a warp and for a block; kinds of
// dimensions in turn; sizes that packs fit and that they do not; nothing at all.
const std::vector<BroadcastShape> kShapes{
    {{1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1}},    {{1, 1, 1, 1, 3, 4}, {1, 1, 1, 1, 3, 4}},
    {{1, 1, 1, 1, 1, 9}, {1, 1, 1, 1, 5, 9}},    {{1, 1, 1, 1, 1, 16}, {1, 1, 2, 7, 5, 16}},
    {{1, 1, 1, 1, 1, 70}, {1, 1, 1, 1, 37, 70}}, {{1, 1, 1, 1, 5, 1}, {1, 1, 1, 1, 5, 300}},
    {{1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 30, 71}},  {{1, 1, 1, 1, 3, 1}, {1, 1, 1, 40, 3, 60}},
    {{2, 1, 3, 1, 4, 1}, {2, 5, 3, 6, 4, 7}},    {{1, 5, 1, 6, 1, 8}, {2, 5, 3, 6, 4, 8}},
    {{2, 1, 1, 6, 4, 1}, {2, 5, 1, 6, 4, 1}},    {{1, 1, 1, 1, 3, 1}, {1, 1, 1, 1, 3, 0}},
    {{1, 1, 1, 1, 0, 1}, {1, 1, 1, 1, 0, 4}}};

std::int64_t size_of(const std::array<std::int64_t, BroadcastShape::rank>& shape) {
  std::int64_t size = 1;
  for (std::int64_t extent : shape) size *= extent;
  return size;
}

}  // namespace

TEMPLATE_TEST_CASE("simt broadcast is that of the CPU bit for bit", "", float, double) {
  using T = TestType;
  for (const BroadcastShape& s : kShapes) {
    const std::int64_t small_size = size_of(s.small_shape), large_size = size_of(s.large_shape);
    CAPTURE(small_size, large_size);
    const auto small = random_numbers<T>(small_size, 1);
    std::vector<T> expected(static_cast<std::size_t>(large_size));
    broadcast<Cpu, T>({}, s, small.data(), expected.data(), 0.3);
    for (const int shift : {0, 1}) {  // 1: not aligned to 16 bytes
      const Input<T> in(shifted(small, shift));
      const auto got = in_all_versions<T>("broadcast", expected.size(), shift, [&](T* to) {
        broadcast<Simt, T>({}, s, in.data() + shift, to, 0.3);
      });
      REQUIRE(same_bits(got, expected));
    }
  }
}

// Both sum in double, in orders of their own, and round once to T: one unit apart at most, and in
// double what reordering up to 2400 terms of size 1 makes.
TEMPLATE_TEST_CASE("simt sum_to", "", float, double) {
  using T = TestType;
  for (const BroadcastShape& s : kShapes) {
    const std::int64_t small_size = size_of(s.small_shape), large_size = size_of(s.large_shape);
    CAPTURE(small_size, large_size);
    const auto large = random_numbers<T>(large_size, 2);
    std::vector<T> expected(static_cast<std::size_t>(small_size));
    sum_to<Cpu, T>({}, s, large.data(), expected.data(), 0.3);
    const Input<T> in(large);
    const auto check = [&] {
      const auto got = in_all_orders<T>(expected.size(), 0,
                                        [&](T* to) { sum_to<Simt, T>({}, s, in.data(), to, 0.3); });
      REQUIRE(max_error(got, expected, 1.0) <=
              std::max(double(std::numeric_limits<T>::epsilon()), 1e-12));
    };
    if (small_size > 32) {  // a block for each of many sums takes long
      check();
    } else {
      by_versions("sum_to", check);
    }
  }
}

TEST_CASE("simt broadcast and sum_to refuse shapes that do not fit") {
  const BroadcastShape wrong{{1, 1, 1, 1, 1, 2}, {1, 1, 1, 1, 1, 3}};
  float small[2] = {}, large[3] = {};
  CHECK_THROWS_AS((sum_to<Simt, float>({}, wrong, large, small)), ek::Error);
  CHECK_THROWS_AS((broadcast<Simt, float>({}, wrong, small, large)), ek::Error);
}
