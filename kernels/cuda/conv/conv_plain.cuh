#pragma once
// The teaching rung of the convolution and the reference on the device: one thread, one element of
// the output, a gather. It serves every type, kernel, stride, padding and grouping.
#include "kernels/cuda/conv/conv_pack.cuh"

namespace ek::kernels::EK_TARGET {

constexpr int kPlainThreads = 256;

// The shape with what follows from it, which the host computes once.
struct PlainShape : Conv2dShape {
  std::int64_t out_rows, out_columns, group_in_c, group_out_c;
  explicit PlainShape(const Conv2dShape& s)
      : Conv2dShape(s),
        out_rows(s.out_h()),
        out_columns(s.out_w()),
        group_in_c(s.in_c / s.groups),
        group_out_c(s.out_c / s.groups) {}
};

// Images and the weights they meet. A tangent has two of them: (x', w) and (x, w').
template <class T>
struct PlainSource {
  const T* image;  // null: a source of zeros
  PackedWeights<T> weights;
};

// A number of an image in the accuracy that the shape asks for; weights have theirs already.
template <class T>
__device__ Acc<T> plain_factor(T value, FloatProducts products) {
  if constexpr (std::is_same_v<T, float>) {
    if (products == FloatProducts::tf32) return std::bit_cast<float>(to_tf32(value));
  }
  return widened(value);
}

// y = the sum over sources and taps of image times weights. Taps outside the image are skipped.
template <class T>
__global__ void __launch_bounds__(kPlainThreads)
    conv_plain(PlainShape s, PlainSource<T> first, PlainSource<T> second, T* y) {
  const std::int64_t count = s.batch * s.out_rows * s.out_columns * s.out_c;
  const std::int64_t step = std::int64_t(gridDim.x) * kPlainThreads;
  for (std::int64_t i = std::int64_t(blockIdx.x) * kPlainThreads + threadIdx.x; i < count;
       i += step) {
    const std::int64_t o = i % s.out_c, column = i / s.out_c % s.out_columns;
    const std::int64_t row = i / s.out_c / s.out_columns % s.out_rows;
    const std::int64_t n = i / s.out_c / s.out_columns / s.out_rows;
    Acc<T> sum = 0;
    for (const PlainSource<T>& source : {first, second}) {
      if (source.image == nullptr) continue;
      for (std::int64_t tap = 0; tap < s.kernel_h * s.kernel_w; ++tap) {
        const std::int64_t h = row * s.stride_h + tap / s.kernel_w - s.pad_h;
        const std::int64_t w = column * s.stride_w + tap % s.kernel_w - s.pad_w;
        if (h < 0 || h >= s.in_h || w < 0 || w >= s.in_w) continue;
        const T* x = source.image + ((n * s.in_h + h) * s.in_w + w) * s.in_c +
                     o / s.group_out_c * s.group_in_c;
        for (std::int64_t c = 0; c < s.group_in_c; ++c) {
          sum = std::fma(plain_factor(x[c], s.products), source.weights(int(o), int(tap), int(c)),
                         sum);
        }
      }
    }
    y[i] = narrowed<T>(sum);
  }
}

// dx = the sum over the taps of dy times weights, for each input the taps that met it. Those are
// the taps whose output row times the stride is the input row plus padding less the tap's row.
template <class T>
__global__ void __launch_bounds__(kPlainThreads)
    conv_plain_backward_data(PlainShape s, const T* dy, PackedWeights<T> weights, T* dx) {
  const std::int64_t count = s.batch * s.in_h * s.in_w * s.in_c;
  const std::int64_t step = std::int64_t(gridDim.x) * kPlainThreads;
  for (std::int64_t i = std::int64_t(blockIdx.x) * kPlainThreads + threadIdx.x; i < count;
       i += step) {
    const std::int64_t c = i % s.in_c, w = i / s.in_c % s.in_w;
    const std::int64_t h = i / s.in_c / s.in_w % s.in_h, n = i / s.in_c / s.in_w / s.in_h;
    const std::int64_t first_o = c / s.group_in_c * s.group_out_c;
    Acc<T> sum = 0;
    for (std::int64_t tap = 0; tap < s.kernel_h * s.kernel_w; ++tap) {
      const std::int64_t y = h + s.pad_h - tap / s.kernel_w, x = w + s.pad_w - tap % s.kernel_w;
      if (y < 0 || y % s.stride_h != 0 || y / s.stride_h >= s.out_rows) continue;
      if (x < 0 || x % s.stride_w != 0 || x / s.stride_w >= s.out_columns) continue;
      const T* from =
          dy + ((n * s.out_rows + y / s.stride_h) * s.out_columns + x / s.stride_w) * s.out_c;
      for (std::int64_t o = first_o; o < first_o + s.group_out_c; ++o) {
        sum = std::fma(plain_factor(from[o], s.products),
                       weights(int(o), int(tap), int(c % s.group_in_c)), sum);
      }
    }
    dx[i] = narrowed<T>(sum);
  }
}

}  // namespace ek::kernels::EK_TARGET
