#include "kernels/reduce.h"

#include "kernels/base/error.h"
#include "kernels/math/long_sum.h"
#include "tests/catch.h"
#include "tests/kernels/numbers.h"

using namespace ek::kernels;
using namespace ek::test;

namespace {

// small, large: nothing to sum; everything; the last, the first, inner and outer dimensions, both
// with few and with many outputs; sums long enough to be cut into blocks; more columns than a
// chunk.
const std::vector<BroadcastShape> kShapes{
    {{1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1}},        {{1, 1, 1, 1, 3, 4}, {1, 1, 1, 1, 3, 4}},
    {{1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 300, 701}},    {{1, 1, 1, 1, 1, 16}, {1, 1, 5, 31, 31, 16}},
    {{1, 1, 1, 1, 1, 700}, {1, 1, 1, 1, 90, 700}},   {{1, 1, 1, 1, 50, 1}, {1, 1, 1, 1, 50, 9000}},
    {{1, 1, 1, 1, 3, 1}, {1, 1, 1, 40, 3, 900}},     {{2, 1, 3, 1, 4, 1}, {2, 5, 3, 6, 4, 7}},
    {{1, 5, 1, 6, 1, 7}, {2, 5, 3, 6, 4, 7}},        {{2, 1, 1, 6, 4, 1}, {2, 5, 1, 6, 4, 1}},
    {{1, 1, 1, 2, 1, 20000}, {1, 1, 1, 2, 3, 20000}}};

std::int64_t size_of(const std::array<std::int64_t, BroadcastShape::rank>& shape) {
  std::int64_t size = 1;
  for (std::int64_t extent : shape) size *= extent;
  return size;
}

// Index into the small tensor of element i of the large one.
std::int64_t small_index(const BroadcastShape& s, std::int64_t i) {
  std::int64_t index = 0, stride = 1;
  for (int d = BroadcastShape::rank - 1; d >= 0; --d) {
    if (s.small_shape[d] != 1) index += i % s.large_shape[d] * stride;
    i /= s.large_shape[d];
    stride *= s.small_shape[d];
  }
  return index;
}

}  // namespace

TEMPLATE_TEST_CASE("broadcast and sum_to", "", float, double) {
  using T = TestType;
  for (const BroadcastShape& s : kShapes) {
    const std::int64_t small_size = size_of(s.small_shape), large_size = size_of(s.large_shape);
    CAPTURE(small_size, large_size);
    const auto small = random_numbers<T>(small_size, 1), large = random_numbers<T>(large_size, 2);
    std::vector<T> spread(large_size), expected(large_size), sums(small_size, T(9));
    std::vector<long double> expected_sums(small_size);
    for (std::int64_t i = 0; i < large_size; ++i) {
      expected[i] = small[small_index(s, i)];
      expected_sums[small_index(s, i)] += large[i];
    }
    broadcast<Cpu, T>({}, s, small.data(), spread.data());
    sum_to<Cpu, T>({}, s, large.data(), sums.data());
    REQUIRE(same_bits(spread, expected));
    // Summed in double, rounded once to T. 2e5 terms of size 1: partial sums of some hundreds, so
    // each addition errs by 1e-14 to 6e-14, and they mostly cancel.
    REQUIRE(max_error(sums, expected_sums, 1) <=
            std::max(double(std::numeric_limits<T>::epsilon()), 1e-11));
    // A scale is one more product.
    for (T& x : expected) x *= T(-0.3);
    broadcast<Cpu, T>({}, s, small.data(), spread.data(), -0.3);
    REQUIRE(same_bits(spread, expected));
    std::vector<T> scaled(sums.size(), T(9));
    for (T& x : sums) x *= T(-0.3);
    sum_to<Cpu, T>({}, s, large.data(), scaled.data(), -0.3);
    REQUIRE(scaled == sums);  // 0 and -0 are both the sum of nothing
  }
}

TEST_CASE("sum_to of nothing is zero, and shapes must fit") {
  std::vector<float> sums{1, 2, 3};
  sum_to<Cpu, float>({}, {{1, 1, 1, 1, 1, 3}, {1, 1, 1, 1, 0, 3}}, nullptr, sums.data());
  REQUIRE(sums == std::vector<float>(3, 0.0f));
  const BroadcastShape wrong{{1, 1, 1, 1, 1, 2}, {1, 1, 1, 1, 1, 3}};
  std::vector<float> large(3);
  CHECK_THROWS_AS((sum_to<Cpu, float>({}, wrong, large.data(), sums.data())), ek::Error);
  CHECK_THROWS_AS((broadcast<Cpu, float>({}, wrong, sums.data(), large.data())), ek::Error);
}

TEST_CASE("sum_to bits do not depend on threads") {
  for (const BroadcastShape& s : kShapes) {
    const auto large = random_numbers<float>(size_of(s.large_shape), 3);
    std::vector<float> first;
    for (int threads : {1, 2, 4}) {
      const Threads scope(threads);
      std::vector<float> sums(size_of(s.small_shape));
      sum_to<Cpu, float>({}, s, large.data(), sums.data());
      if (first.empty()) first = sums;
      REQUIRE(same_bits(sums, first));
    }
  }
}

TEMPLATE_TEST_CASE("take_rows, segment_sum, pick and place", "", float, double) {
  using T = TestType;
  const std::int64_t count = 500, width = 130, segments = 7;
  const auto table = random_numbers<T>(segments * width, 4);
  const auto values = random_numbers<T>(count * width, 5);
  std::vector<std::int64_t> index(count);
  for (std::int64_t i = 0; i < count; ++i) index[i] = i * i % 6;  // segment 6 stays empty
  std::vector<T> taken(count * width), sums(segments * width, T(9)), expected_taken, picked(count);
  std::vector<ek::math::LongSum<T>> long_sums(segments * width);  // more than 128 rows
  std::vector<T> expected_sums, placed(count * width, T(9));
  for (std::int64_t i = 0; i < count * width; ++i) {
    const std::int64_t at = index[i / width] * width + i % width;
    expected_taken.push_back(table[at]);
    long_sums[at].add(values[i]);
  }
  for (const auto& sum : long_sums) expected_sums.push_back(sum.value());
  take_rows<Cpu, T>({}, count, width, table.data(), index.data(), taken.data());
  segment_sum<Cpu, T>({}, count, width, segments, values.data(), index.data(), sums.data());
  REQUIRE(same_bits(taken, expected_taken));
  REQUIRE(same_bits(sums, expected_sums));  // the order of i is part of the contract

  pick<Cpu, T>({}, count, width, values.data(), index.data(), picked.data());
  place<Cpu, T>({}, count, width, picked.data(), index.data(), placed.data());
  for (std::int64_t i = 0; i < count * width; ++i) {
    const bool here = i % width == index[i / width];
    REQUIRE(placed[i] == (here ? values[i] : T(0)));
    if (here) REQUIRE(picked[i / width] == values[i]);
  }
}

TEMPLATE_TEST_CASE("argmax_rows: the first maximum, and never a NaN", "", float, double) {
  using T = TestType;
  const T nan = std::numeric_limits<T>::quiet_NaN(), inf = std::numeric_limits<T>::infinity();
  const std::vector<T> x{1, 3, 3, -1, -1, -2, 5, nan, 1, nan, 0, 0, -inf, -inf, -inf};
  std::vector<std::int64_t> prediction(5);
  argmax_rows<Cpu, T>({}, 5, 3, x.data(), prediction.data());
  REQUIRE(prediction == std::vector<std::int64_t>{1, 0, -1, -1, 0});
}

TEST_CASE("count_correct adds to its counters") {
  const std::vector<std::int64_t> prediction{0, 1, -1, 2, 2}, labels{0, 2, 1, 2, 2};
  std::vector<std::int64_t> correct{10, 0, 0}, total{20, 0, 0};
  count_correct<Cpu>({}, 5, prediction.data(), labels.data(), correct.data(), total.data());
  REQUIRE(correct == std::vector<std::int64_t>{11, 0, 2});
  REQUIRE(total == std::vector<std::int64_t>{21, 1, 3});
}
