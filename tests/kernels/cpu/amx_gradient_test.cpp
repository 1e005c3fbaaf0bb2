// The weight gradient by AMX tiles, by itself: against naive sums, on sizes around its blocks,
// bands and groups. Without AMX there is nothing to test but that it says so.
#include "kernels/cpu/amx/amx_gradient.h"

#include "kernels/base/info.h"
#include "kernels/cpu/amx/amx.h"
#include "tests/kernels/conv/conv_run.h"

using namespace ek::reference;
using ek::kernels::cpu::amx_slice_gradient;
using ek::kernels::cpu::has_amx_bf16;

namespace {

// batch, in_h, in_w, in_c, out_c, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w
const std::vector<Conv2dShape> fitting{
    {1, 1, 2, 1, 1, 1, 1},                  // one pair of pixels
    {3, 4, 4, 16, 16, 3, 3, 1, 1, 1, 1},    // half a block of pixels
    {7, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1},    // some images at a time, and one left over
    {2, 32, 32, 16, 16, 3, 3, 1, 1, 1, 1},  // bands of rows
    {1, 6, 64, 16, 32, 3, 3, 1, 1, 1, 1},   // rows of two blocks
    {2, 12, 24, 32, 16, 3, 3, 1, 1, 1, 1},  // rows that are no blocks
    {2, 14, 14, 17, 33, 3, 3, 1, 1, 1, 1},  // channels one beyond a block
    {1, 28, 28, 48, 16, 3, 3, 1, 1, 1, 1},  // three blocks of input channels
    {1, 64, 64, 32, 16, 3, 3, 1, 1, 1, 1},  // bands of rows of two blocks
    {2, 4, 4, 130, 20, 3, 3, 1, 1, 1, 1},   // more input blocks than sums fit into tiles
    {2, 8, 8, 3, 16, 3, 3, 1, 1, 1, 1},     // the stem
    {2, 6, 6, 16, 16, 5, 5, 1, 1, 2, 2},    // rows of zeros two deep
    {1, 12, 12, 3, 10, 7, 7, 2, 2, 3, 3},   // a stem of stride 2
    {3, 16, 16, 16, 32, 3, 3, 2, 2, 1, 1},  // stride 2, where a tap meets one of four phases
    {2, 64, 64, 16, 16, 3, 3, 2, 2, 1, 1},  // in bands
    {2, 8, 8, 16, 24, 1, 1, 2, 2},          // 1x1: three phases that no tap meets
    {2, 8, 16, 16, 16, 4, 4, 2, 2, 1, 1},   // even kernel
    {2, 9, 12, 16, 16, 3, 3, 3, 3, 0, 0},   // stride 3
    {2, 5, 8, 16, 16, 3, 1, 1, 1, 1, 0},    // no column shifts
    {2, 5, 8, 16, 16, 1, 3, 1, 2, 0, 1},    // no row shifts, unequal strides
    {2, 8, 8, 100, 40, 1, 1},               // a matrix product
};

// Not "same", an odd number of columns, groups.
const std::vector<Conv2dShape> others{
    {2, 8, 8, 16, 16, 3, 3},
    {2, 7, 7, 16, 16, 3, 3, 2, 2, 1, 1},
    {2, 7, 7, 16, 16, 3, 3, 1, 1, 1, 1},
    {2, 8, 8, 16, 16, 3, 3, 1, 1, 1, 1, 2},
};

Guarded<float> gradient(const Conv2dShape& s) {
  const Case<ek::bf16> c(s, ConvPath::best);
  const auto slice = amx_slice_gradient(s);
  REQUIRE(slice != nullptr);
  GuardedWorkspace scratch(slice->scratch_bytes());
  GuardedWorkspace partial(std::size_t(slice->partial_size()) * sizeof(float));
  const auto sums = static_cast<float*>(partial.get().data);
  slice->compute(c.x.data(), c.dy.data(), sums, static_cast<std::byte*>(scratch.get().data));
  Guarded<float> dweight(s.weight_size());
  slice->to_ohwi(sums, dweight.data(), nullptr);
  REQUIRE(scratch.intact());
  REQUIRE(partial.intact());
  REQUIRE(dweight.intact());
  return dweight;
}

}  // namespace

TEST_CASE("conv2d weight gradient by AMX agrees with naive sums") {
  for (const Conv2dShape& s : fitting) {
    INFO(describe(s));
    if (!has_amx_bf16()) {
      REQUIRE(amx_slice_gradient(s) == nullptr);
      continue;
    }
    const Guarded<float> got = gradient(s);
    const Case<ek::bf16> c(s, ConvPath::best);
    REQUIRE(first_wrong(got, c.expected(Conv2dPass::backward_weights, got.size())) == -1);
  }
}

TEST_CASE("conv2d weight gradient by AMX leaves other shapes to others") {
  for (const Conv2dShape& s : others) {
    INFO(describe(s));
    REQUIRE(amx_slice_gradient(s) == nullptr);
  }
}

TEST_CASE("cpu_bf16 names AMX only where its tiles may be used") {
  const std::string name = ek::kernels::cpu_bf16();
  INFO(name);
  REQUIRE((name.empty() || name == "AMX" || name == "AVX-512 bf16"));
  REQUIRE((name != "AMX" || has_amx_bf16()));
}
