#include "kernels/math/philox.h"

#include "tests/catch.h"

using ek::math::philox;

// The known-answer vectors that the authors publish with Random123.
TEST_CASE("philox gives the published known answers") {
  using Words = std::array<std::uint32_t, 4>;
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  const std::uint32_t ones = 0xffffffff;
  CHECK(philox({ones, ones, ones, ones}, {ones, ones}) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("philox conversions stay inside their ranges") {
  CHECK(ek::math::unit_float(0) == 0.0f);
  CHECK(ek::math::unit_float(0xffffffff) < 1.0f);
  CHECK(ek::math::below(0, 17) == 0);
  CHECK(ek::math::below(0xffffffff, 17) == 16);
  CHECK(ek::math::below(0xffffffff, 1) == 0);
}
