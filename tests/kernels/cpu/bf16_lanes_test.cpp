#include "kernels/cpu/bf16_lanes.h"

#include <algorithm>
#include <bit>

#include "kernels/cpu/simd.h"
#include "tests/catch.h"
#include "tests/kernels/numbers.h"

using namespace ek::kernels::cpu;
using namespace ek::test;

namespace {

// Every sign and exponent, with mantissas around the points where rounding turns, and random ones.
std::vector<float> floats_of_all_sizes() {
  std::vector<float> values;
  std::uint32_t next = 0;
  for (std::uint32_t top = 0; top < 512; ++top) {
    std::vector<std::uint32_t> mantissas{0,        1,        0x7FFF,  0x8000,  0x8001,
                                         0xFFFF,   0x10000,  0x17FFF, 0x18000, 0x18001,
                                         0x7F7FFF, 0x7F8000, 0x7FFFFF};
    for (int i = 0; i < 131; ++i)
      mantissas.push_back(ek::math::philox({next++, 0, 0, 0}, {1, 2})[0]);
    for (std::uint32_t m : mantissas) {
      values.push_back(std::bit_cast<float>(top << 23 | (m & 0x7FFFFF)));
    }
  }
  return values;  // 512 * 144: whole vectors
}

template <int n>
void check_lanes() {
  const auto values = floats_of_all_sizes();
  int wrong_round = 0, wrong_store = 0, wrong_load = 0, flushed = 0;
  for (std::size_t i = 0; i < values.size(); i += n) {
    ek::bf16 rounded[n], stored[n];
    round_to_bf16<n>(Simd<n>::load(&values[i]), rounded);
    Simd<n>::store(Simd<n>::load(&values[i]), stored);
    for (int l = 0; l < n; ++l) {
      const float v = values[i + l];
      const ek::bf16 expected = ek::math::float_to_bf16(v);
      wrong_round += rounded[l].bits != expected.bits;
      if (stored[l].bits == expected.bits) continue;
      const bool zero_of_its_sign = stored[l].bits == (std::bit_cast<std::uint32_t>(v) >> 31 << 15);
      const bool may_flush = std::fpclassify(v) == FP_SUBNORMAL && zero_of_its_sign;
      may_flush ? ++flushed : ++wrong_store;
    }
  }
  for (std::uint32_t bits = 0; bits < 65536; bits += n) {
    ek::bf16 halves[n];
    float widened[n];
    for (int l = 0; l < n; ++l) halves[l].bits = std::uint16_t(bits + l);
    Simd<n>::store(Simd<n>::load(halves), widened);
    for (int l = 0; l < n; ++l) {
      wrong_load += std::bit_cast<std::uint32_t>(widened[l]) != (bits + l) << 16;
    }
  }
  CAPTURE(n, flushed);
  REQUIRE(wrong_round == 0);
  REQUIRE(wrong_store == 0);
  REQUIRE(wrong_load == 0);
}

}  // namespace

TEST_CASE("lanes of bf16 are rounded and widened as single numbers are") {
  check_lanes<1>();
  check_lanes<4>();
  // No wider than the registers of the build, beyond which the kernels never go.
  check_lanes<std::min(8, int(vector_lanes<float>))>();
  check_lanes<std::min(16, int(vector_lanes<float>))>();
}

TEST_CASE("for_lanes visits every element once, in order") {
  for (const std::int64_t count : {0, 1, 15, 16, 17, 100}) {
    std::vector<std::int64_t> seen;
    for_lanes<ek::bf16>(count, [&](std::int64_t i, auto simd) {
      for (int l = 0; l < simd.lanes; ++l) seen.push_back(i + l);
    });
    REQUIRE(std::int64_t(seen.size()) == count);
    for (std::int64_t i = 0; i < count; ++i) REQUIRE(seen[i] == i);
  }
}
