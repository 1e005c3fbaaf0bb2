// The plain convolution as an implementation of slices, and for bf16 through float copies.

#include <type_traits>

#include "kernels/cpu/blocks.h"
#include "kernels/cpu/conv/conv_plain.h"
#include "kernels/cpu/scratch.h"
#include "kernels/math/bf16.h"

namespace ek::kernels::cpu {
namespace {

// Elements of scratch for the copy of `count` images' elements.
template <class T>
std::size_t copy_bytes(std::int64_t count) {
  return std::is_same_v<T, Acc<T>> ? 0 : padded_bytes<Acc<T>>(count);
}

// x itself, or converted at `copy`.
template <class T>
const Acc<T>* widened(const T* x, std::int64_t count, std::byte* copy) {
  if constexpr (std::is_same_v<T, Acc<T>>) {
    return x;
  } else {
    Acc<T>* out = reinterpret_cast<Acc<T>*>(copy);
    for_blocks(count, kBlockElements, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) out[i] = math::bf16_to_float(x[i]);
    });
    return out;
  }
}

// Calls f(sums) with where to put `count` sums, then rounds them into y if they are not there.
template <class T, class F>
void narrowed(T* y, std::int64_t count, std::byte* copy, F f) {
  if constexpr (std::is_same_v<T, Acc<T>>) {
    f(y);
  } else {
    const auto sums = reinterpret_cast<Acc<T>*>(copy);
    f(sums);
    for_blocks(count, kBlockElements, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) y[i] = math::float_to_bf16(sums[i]);
    });
  }
}

template <class T>
class PlainConv final : public SliceConv<T> {
 public:
  explicit PlainConv(const Conv2dShape& slice)
      : shape_(slice), x_size_(slice.input_size()), y_size_(slice.output_size()) {}

  std::size_t scratch_bytes() const override {
    return copy_bytes<T>(x_size_) + copy_bytes<T>(y_size_);
  }
  bool uses_all_threads() const override { return true; }

  void forward(const T* x, ConvPack weight, T* y, std::byte* scratch) const override {
    const Acc<T>* wide = widened(x, x_size_, scratch);
    narrowed(y, y_size_, scratch + copy_bytes<T>(x_size_),
             [&](Acc<T>* sums) { plain_forward(shape_, wide, weights(weight), sums, false); });
  }

  void backward_data(const T* dy, ConvPack weight, T* dx, std::byte* scratch) const override {
    const Acc<T>* wide = widened(dy, y_size_, scratch);
    narrowed(dx, x_size_, scratch + copy_bytes<T>(y_size_),
             [&](Acc<T>* sums) { plain_backward_data(shape_, wide, weights(weight), sums); });
  }

  void tangent(const T* x, ConvPack weight, const T* x_tangent, ConvPack weight_tangent,
               T* y_tangent, std::byte* scratch) const override {
    narrowed(y_tangent, y_size_, scratch + copy_bytes<T>(x_size_), [&](Acc<T>* sums) {
      plain_forward(shape_, widened(x_tangent, x_size_, scratch), weights(weight), sums, false);
      plain_forward(shape_, widened(x, x_size_, scratch), weights(weight_tangent), sums, true);
    });
  }

 private:
  static const Acc<T>* weights(ConvPack pack) { return static_cast<const Acc<T>*>(pack.data); }

  Conv2dShape shape_;
  std::int64_t x_size_, y_size_;
};

template <class T>
class PlainGradient final : public SliceGradient<T> {
 public:
  explicit PlainGradient(const Conv2dShape& slice) : shape_(slice) {}

  std::size_t scratch_bytes() const override {
    return copy_bytes<T>(shape_.input_size()) + copy_bytes<T>(shape_.output_size());
  }
  std::int64_t partial_size() const override { return shape_.weight_size(); }
  void compute(const T* x, const T* dy, Acc<T>* partial, std::byte* scratch) const override {
    std::byte* dy_copy = scratch + copy_bytes<T>(shape_.input_size());
    plain_gradient(shape_, widened(x, shape_.input_size(), scratch),
                   widened(dy, shape_.output_size(), dy_copy), partial);
  }

  bool is_ohwi() const override { return true; }
  std::size_t to_ohwi_bytes() const override { return 0; }
  void to_ohwi(const Acc<T>*, Acc<T>*, std::byte*) const override {}

 private:
  Conv2dShape shape_;
};

}  // namespace

template <class T>
SliceConvPtr<T> plain_slice_conv(const Conv2dShape& slice) {
  return std::make_shared<PlainConv<T>>(slice);
}
template <class T>
SliceGradientPtr<T> plain_slice_gradient(const Conv2dShape& slice) {
  return std::make_shared<PlainGradient<T>>(slice);
}

template SliceConvPtr<float> plain_slice_conv(const Conv2dShape&);
template SliceConvPtr<double> plain_slice_conv(const Conv2dShape&);
template SliceConvPtr<bf16> plain_slice_conv(const Conv2dShape&);
template SliceGradientPtr<float> plain_slice_gradient(const Conv2dShape&);
template SliceGradientPtr<double> plain_slice_gradient(const Conv2dShape&);
template SliceGradientPtr<bf16> plain_slice_gradient(const Conv2dShape&);

}  // namespace ek::kernels::cpu
