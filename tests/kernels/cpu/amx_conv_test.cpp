// Convolution by AMX tiles: against naive sums, on sizes around its tiles, records and rows.
// Without AMX there is nothing to test but that it says so.
#include "kernels/cpu/amx/amx_conv.h"

#include <cmath>

#include "kernels/cpu/amx/amx.h"
#include "tests/kernels/conv/conv_run.h"

using namespace ek::reference;
using ek::kernels::cpu::amx_slice_conv;
using ek::kernels::cpu::has_amx_bf16;

namespace {

// batch, in_h, in_w, in_c, out_c, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w
const std::vector<Conv2dShape> fitting{
    {1, 1, 1, 9, 9, 1, 1},                   // the smallest; sixteen images take turns
    {3, 32, 32, 16, 16, 3, 3, 1, 1, 1, 1},   // two tiles a row, rows in pairs
    {5, 16, 16, 32, 32, 3, 3, 1, 1, 1, 1},   // a tile is a row, a pixel a cache line
    {5, 8, 8, 64, 64, 3, 3, 1, 1, 1, 1},     // two images take turns, one is left over
    {17, 3, 3, 64, 64, 3, 3, 1, 1, 1, 1},    // an image no larger than the kernel
    {2, 5, 48, 16, 32, 3, 3, 1, 1, 1, 1},    // three tiles a row: blocks begin within rows
    {1, 4, 80, 32, 16, 3, 3, 1, 1, 1, 1},    // five
    {3, 7, 7, 10, 20, 3, 3, 1, 1, 1, 1},     // channels that fill no half of a record
    {2, 6, 12, 17, 33, 3, 3, 1, 1, 1, 1},    // channels one beyond a half and a whole
    {2, 5, 4, 48, 40, 3, 3, 1, 1, 1, 1},     // a chunk half full
    {2, 9, 9, 33, 35, 3, 3},                 // no padding
    {2, 6, 6, 16, 16, 3, 3, 1, 1, 2, 2},     // as much as there can be
    {2, 9, 8, 16, 16, 5, 5, 1, 1, 2, 2},     // three runs of rows, the last one overlapping
    {2, 9, 8, 16, 24, 2, 2, 1, 1, 1, 0},     // even kernel: rows in whole pairs
    {2, 9, 8, 12, 24, 4, 3, 1, 1, 0, 2},     // the same, two of them
    {2, 5, 6, 16, 16, 1, 3, 1, 1, 0, 1},     // a row of taps, which cannot be paired
    {2, 6, 5, 16, 40, 3, 1, 1, 1, 1, 0},     // a column
    {3, 8, 8, 64, 256, 1, 1},                // a matrix product
    {1, 14, 14, 128, 128, 3, 3, 1, 1, 1, 1}  // as many weights as it takes
};

const std::vector<Conv2dShape> others{
    {2, 8, 8, 16, 16, 3, 3, 2, 2, 1, 1},     // a stride
    {2, 8, 8, 16, 16, 3, 3, 1, 2, 1, 1},     // on one side
    {2, 8, 8, 32, 32, 3, 3, 1, 1, 1, 1, 2},  // groups
    {2, 8, 8, 8, 16, 3, 3, 1, 1, 1, 1},      // few input channels
    {2, 8, 8, 16, 8, 3, 3, 1, 1, 1, 1},      // few output channels
    {2, 8, 8, 16, 16, 3, 3, 1, 1, 3, 3},     // windows wholly in the padding
    {1, 4, 4, 512, 512, 3, 3, 1, 1, 1, 1},   // more weights than a cache holds
};

constexpr Conv2dPass image_passes[] = {Conv2dPass::forward, Conv2dPass::backward_data,
                                       Conv2dPass::tangent};

// A NaN in the middle of an image comes out where a window meets it and nowhere else.
template <class T>
void check_nan(const Conv2dShape& s) {
  Case<T> c(s, ConvPath::best);
  const std::int64_t row = s.in_h / 2, column = s.in_w / 2;
  c.x[(row * s.in_w + column) * s.in_c + 1] = rounded<T>(std::nan(""));
  const auto y = c.images(Conv2dPass::forward);
  for (std::int64_t i = 0; i < y.size(); ++i) {
    const std::int64_t pixel = i / s.out_c;
    const std::int64_t w = pixel % s.out_w(), h = pixel / s.out_w() % s.out_h();
    const bool reached = pixel < s.out_h() * s.out_w() && h + s.pad_h >= row &&
                         h - s.pad_h <= row && w - s.pad_w <= column && w + s.pad_w >= column;
    INFO(describe(s) << ", row " << h << ", column " << w);
    REQUIRE(std::isnan(number(y[i])) == reached);
  }
}

}  // namespace

TEST_CASE("conv2d by AMX serves its shapes, and leaves others to others") {
  for (Conv2dPass pass : image_passes) {
    for (const Conv2dShape& s : fitting) {
      INFO(describe(s) << ", pass " << int(pass));
      CHECK((amx_slice_conv<float>(s, pass) != nullptr) == has_amx_bf16());
      CHECK((amx_slice_conv<ek::bf16>(s, pass) != nullptr) == has_amx_bf16());
    }
    for (const Conv2dShape& s : others) {
      INFO(describe(s) << ", pass " << int(pass));
      CHECK(amx_slice_conv<float>(s, pass) == nullptr);
      CHECK(amx_slice_conv<ek::bf16>(s, pass) == nullptr);
    }
  }
}

TEST_CASE("conv2d by AMX agrees with naive sums") {
  if (!has_amx_bf16()) return;
  check_values<float>(ConvPath::best, fitting);
  check_values<ek::bf16>(ConvPath::best, fitting);
}

TEST_CASE("conv2d by AMX has the same bits for every number of threads") {
  if (!has_amx_bf16()) return;
  check_threads<float>(fitting, ConvPath::best);
  check_threads<ek::bf16>(fitting, ConvPath::best);
}

TEST_CASE("conv2d by AMX keeps a NaN to the windows that meet it") {
  if (!has_amx_bf16()) return;
  for (const Conv2dShape& s :
       {Conv2dShape{2, 8, 16, 16, 16, 3, 3, 1, 1, 1, 1},
        Conv2dShape{3, 7, 8, 16, 16, 5, 5, 1, 1, 2, 2}, Conv2dShape{3, 8, 8, 12, 16, 1, 1},
        Conv2dShape{2, 6, 8, 32, 16, 3, 3, 1, 1, 1, 1}}) {
    check_nan<float>(s);
    check_nan<ek::bf16>(s);
  }
}
