#pragma once
#include <array>
#include <string>

#include "tests/kernels/conv/conv_run.h"
#include "tests/simt/device.h"

// What the tests of the convolution on the host executor share: shapes, and a run of a pass.
namespace ek::simt::test {

using kernels::Conv2dPass;
using kernels::Conv2dShape;
using kernels::ConvPack;
using kernels::FloatProducts;
using kernels::Simt;
using reference::describe;

// batch, in_h, in_w, in_c, out_c, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, groups.
// Small: a tensor-core product takes microseconds here.
inline const std::vector<Conv2dShape> kConvShapes{
    {1, 1, 1, 1, 1, 1, 1},                    // the smallest
    {2, 5, 7, 3, 8, 3, 3, 1, 1, 1, 1},        // three input channels
    {1, 9, 18, 16, 16, 3, 3, 1, 1, 1, 1},     // a layer of stage 1, a little more than a tile wide
    {1, 17, 5, 8, 8, 3, 3, 1, 1, 1, 1},       // a little more than a tile high, narrow
    {3, 3, 8, 16, 24, 3, 3, 1, 1, 1, 1},      // two images to a tile, one left over
    {1, 2, 4, 64, 48, 3, 3, 1, 1, 1, 1},      // several chunks of channels, an odd block
    {1, 9, 8, 16, 32, 3, 3, 2, 2, 1, 1},      // stride 2, odd and even size
    {2, 5, 3, 5, 7, 1, 1},                    // 1x1, odd channels
    {2, 7, 7, 4, 6, 1, 1, 2, 2},              // 1x1, stride 2: inputs that no window meets
    {1, 6, 5, 3, 17, 3, 5, 1, 2, 0, 2},       // kernel, stride and padding differ by axis
    {2, 5, 5, 6, 4, 3, 3, 1, 1, 1, 1, 2},     // two groups
    {1, 4, 5, 32, 64, 3, 3, 1, 1, 1, 1, 2},   // two groups, wide
    {1, 6, 7, 8, 8, 3, 3, 2, 2, 1, 1, 8},     // depthwise
    {1, 6, 6, 4, 12, 3, 3, 1, 1, 1, 1, 4},    // depthwise with three outputs each
    {1, 3, 4, 40, 40, 3, 3, 1, 1, 1, 1, 10},  // four channels a group
    {1, 12, 11, 3, 10, 7, 7, 2, 2, 3, 3},     // a stem
    {2, 3, 3, 2, 3, 2, 2, 1, 1, 2, 2},        // windows wholly in the padding
    {3, 6, 7, 2, 2, 2, 2, 3, 3},              // stride beyond the kernel, a rest at the border
    {1, 5, 5, 33, 35, 3, 3, 1, 1, 0, 0},      // channels one beyond whole vectors
    {5, 1, 1, 20, 40, 1, 1},                  // images of one pixel
    {1, 1, 13, 4, 20, 1, 4, 1, 3, 0, 2},      // one row, even kernel
    {2, 11, 2, 10, 6, 5, 3, 2, 3, 2, 1, 2},   // a tap that meets nothing but padding
};

// The passes of this file's functions.
inline constexpr Conv2dPass kConvPasses[] = {Conv2dPass::forward, Conv2dPass::tangent,
                                             Conv2dPass::backward_data};

inline const char* function_of(Conv2dPass pass) {
  return pass == Conv2dPass::forward   ? "conv2d_forward"
         : pass == Conv2dPass::tangent ? "conv2d_tangent"
                                       : "conv2d_backward_data";
}

// How a GPU multiplies numbers of T.
template <class T>
std::vector<FloatProducts> products_of() {
  if (!std::is_same_v<T, float>) return {FloatProducts::exact};
  return {FloatProducts::exact, FloatProducts::tf32};
}

// Of channels that are to be normalised: positive.
inline std::vector<float> variances(std::int64_t count, std::uint32_t seed) {
  std::vector<float> values = ek::test::random_numbers<float>(count, seed);
  for (float& v : values) v = 0.1f + v * v;
  return values;
}

template <class T>
std::vector<T> values_of(const reference::Guarded<T>& buffer) {
  return std::vector<T>(buffer.data(), buffer.data() + buffer.size());
}

// Weights as a pass of the executor reads them.
template <class T>
class SimtPack {
 public:
  using A = kernels::Acc<T>;
  SimtPack(const Conv2dShape& s, Conv2dPass pass, const std::vector<A>& ohwi)
      : bytes_(kernels::conv2d_pack_bytes<Simt, T>(s, pass)),
        ohwi_(ohwi, "weights"),
        pack_((bytes_ + 3) / 4, "pack") {
    if (bytes_ > 0) kernels::conv2d_pack<Simt, T>({}, s, pass, ohwi_.data(), pack_.data());
  }
  operator ConvPack() const {
    return {bytes_ > 0 ? static_cast<const void*>(pack_.data()) : ohwi_.data()};
  }
  std::vector<std::uint32_t> words() const { return pack_.values(); }

 private:
  std::size_t bytes_;
  Input<A> ohwi_;
  Guarded<std::uint32_t> pack_;
};

// The inputs of a shape in the executor's memory. Those of the image start `shift` elements past an
// aligned address: 1 rules vector accesses out.
template <class T>
class SimtConv {
 public:
  explicit SimtConv(const reference::Case<T>& c, int shift = 0)
      : shape_(c.shape),
        shift_(shift),
        x_(shifted(values_of(c.x), shift), "x"),
        x_tangent_(shifted(values_of(c.x_tangent), shift), "x_tangent"),
        dy_(shifted(values_of(c.dy), shift), "dy"),
        weight_(values_of(c.weight)),
        weight_tangent_(values_of(c.weight_tangent)) {}

  std::size_t output_size(Conv2dPass pass) const {
    return std::size_t(pass == Conv2dPass::backward_data ? shape_.input_size()
                                                         : shape_.output_size());
  }

  // The pass by the version in force: in all orders, or in one.
  std::vector<T> run(Conv2dPass pass, bool all_orders = true) const {
    const SimtPack<T> w(shape_, pass, weight_), w_tangent(shape_, pass, weight_tangent_);
    const auto size = output_size(pass) + std::size_t(shift_);
    if (all_orders) {
      return in_all_orders<T>(size, shift_, [&](T* to) { once(pass, w, w_tangent, to); });
    }
    Guarded<T> to(size, "y");
    once(pass, w, w_tangent, to.data() + shift_);
    std::vector<T> values = to.values();
    values.erase(values.begin(), values.begin() + shift_);
    return values;
  }

  void once(Conv2dPass pass, ConvPack w, ConvPack w_tangent, T* to) const {
    const T* x = x_.data() + shift_;
    if (pass == Conv2dPass::forward) {
      kernels::conv2d_forward<Simt, T>({}, shape_, x, w, to, {});
    } else if (pass == Conv2dPass::tangent) {
      kernels::conv2d_tangent<Simt, T>({}, shape_, x, w, x_tangent_.data() + shift_, w_tangent, to,
                                       {});
    } else {
      kernels::conv2d_backward_data<Simt, T>({}, shape_, dy_.data() + shift_, w, to, {});
    }
  }

 private:
  Conv2dShape shape_;
  int shift_;
  Input<T> x_, x_tangent_, dy_;
  std::vector<kernels::Acc<T>> weight_, weight_tangent_;
};

// How far `got` is from sums in double, at worst, in units of what rounding explains:
//   plain sums       2 k epsilon of the sum of magnitudes, k terms in any order
//   `tensor_cores`   the same with 8 more terms: three tf32 products for one of float32 leave out
//                    three parts of 2^-22, and what they sum up to is cut before it is added
//                    (long_sums_test.cpp is less generous to long sums)
//   tf32             each product is off by at most 2^-10 and a bit: two factors of 10 + 1 bits
//   bf16             one rounding of the result on top
// Infinite where a size differs, NaN where a number is one.
template <class T>
double conv_error(const std::vector<T>& got, const reference::Sums& expected,
                  FloatProducts products, bool tensor_cores) {
  if (got.size() != expected.value.size()) return std::numeric_limits<double>::infinity();
  const double epsilon = std::numeric_limits<kernels::Acc<T>>::epsilon();
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double terms = expected.terms[i] + (tensor_cores ? 8 : 0);
    const double product = products == FloatProducts::tf32 ? 0x1.01p-10 : 0;
    const double sum = (2 * terms * epsilon + product) * expected.magnitude[i];
    const double rounding =
        std::is_same_v<T, bf16> ? 0x1p-8 * (std::abs(expected.value[i]) + sum) : 0;
    const double off = std::abs(reference::number(got[i]) - expected.value[i]);
    const double error = off == 0 ? 0 : off / (sum + rounding);
    if (!(error <= worst)) worst = error;
    if (std::isnan(worst)) break;
  }
  return worst;
}

}  // namespace ek::simt::test
