#include "kernels/base/versions.h"

#include "kernels/conv.h"
#include "kernels/gemm.h"
#include "tests/catch.h"
#include "tests/error_of.h"

using namespace ek::kernels;

TEST_CASE("a version is named while its scope lives, and the innermost counts") {
  REQUIRE(versions_of("gemm").size() >= 2);
  REQUIRE(versions_of("gemm")[0] == "plain");
  REQUIRE(named_version("gemm") == -1);
  {
    const ScopedVersion outer("gemm", "tiled");
    REQUIRE(named_version("gemm") == 1);
    {
      const ScopedVersion inner("gemm", "plain");
      REQUIRE(named_version("gemm") == 0);
    }
    REQUIRE(named_version("gemm") == 1);
    REQUIRE(named_version("another") == -1);
  }
  REQUIRE(named_version("gemm") == -1);
}

TEST_CASE("versions that do not exist are refused by name") {
  const std::string wrong = error_of([] { ScopedVersion("gemm", "tilde"); });
  REQUIRE(contains(wrong, "gemm: no version 'tilde' (it has plain, tiled"));
  const std::string alone = error_of([] { ScopedVersion("max_pool2d_gather", "plain"); });
  REQUIRE(alone == "max_pool2d_gather: no version 'plain' (it has one alone)");
  for (const auto function : versioned_functions()) REQUIRE(versions_of(function).size() > 1);
}

TEST_CASE("the CPU refuses tf32 products by name") {
  GemmShape gemm_shape{1, 1, 1};
  gemm_shape.products = FloatProducts::tf32;
  const float one = 1;
  float c = 0;
  REQUIRE(contains(error_of([&] { gemm<Cpu, float>({}, gemm_shape, &one, &one, &c); }), "tf32"));
  Conv2dShape conv_shape{1, 1, 1, 1, 1, 1, 1};
  conv_shape.products = FloatProducts::tf32;
  const std::string conv =
      error_of([&] { conv2d_workspace_bytes<Cpu, float>(conv_shape, Conv2dPass::forward); });
  REQUIRE(contains(conv, "tf32"));
}
