#include "kernels/cpu/conv/onednn_rate.h"

#include <cmath>

#include "kernels/base/info.h"
#include "tests/catch.h"
#include "tests/error_of.h"

using namespace ek::kernels;

namespace {

constexpr Conv2dShape shape{4, 8, 8, 16, 32, 3, 3, 2, 2, 1, 1};
constexpr Conv2dPass passes[] = {Conv2dPass::forward, Conv2dPass::backward_data,
                                 Conv2dPass::backward_weights, Conv2dPass::tangent};

}  // namespace

TEST_CASE("oneDNN's own time is there for every pass exactly where oneDNN is") {
  const bool built_in = cpu_convolutions().find("oneDNN") != std::string::npos;
  for (const Conv2dPass pass : passes) {
    CAPTURE(int(pass));
    const auto ms = onednn_conv_ms(shape, pass, false, 3);
    REQUIRE(ms.has_value() == built_in);
    if (!ms) continue;
    REQUIRE(std::isfinite(*ms));
    REQUIRE(*ms > 0);
    // bfloat16 needs AVX-512 in oneDNN 2; where it is refused there is no number, not a wrong one.
    const auto bf16_ms = onednn_conv_ms(shape, pass, true, 3);
    if (bf16_ms) REQUIRE((std::isfinite(*bf16_ms) && *bf16_ms > 0));
  }
}

TEST_CASE("more work takes oneDNN longer") {
  const auto few = onednn_conv_ms(shape, Conv2dPass::forward, false, 10);
  if (!few) return;
  Conv2dShape larger = shape;
  larger.batch *= 64;
  const auto many = onednn_conv_ms(larger, Conv2dPass::forward, false, 10);
  REQUIRE(many);
  REQUIRE(*many > *few);
}

TEST_CASE("onednn_conv_ms: no repetition is an error") {
  CHECK(contains(error_of([] { onednn_conv_ms(shape, Conv2dPass::forward, false, 0); }),
                 "onednn_conv_ms: expected at least 1 repetition, got 0"));
}
