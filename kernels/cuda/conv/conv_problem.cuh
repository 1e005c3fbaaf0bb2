#pragma once
// One form for forward, tangent and backward data, which the tensor-core kernels compute:
//
//   out[n, h, w, o] = sum over sources, taps (a, b) and channels c of
//                     image[n, h' + a, w' + b, c] weight[o, tap(a, b), c]
//
// Backward data is a correlation of dy with the flipped, transposed weights. At stride s its
// outputs fall into s classes an axis: the rows h with (h + pad) % s = r meet the taps r, r + s,
// ... alone, each at stride 1. So no zeros are inserted and none multiplied. A class that no tap
// meets is zero.
#include <cstdint>
#include <utility>

#include "kernels/base/arguments.h"
#include "kernels/cuda/conv/conv_pack.cuh"

namespace ek::kernels::EK_TARGET {

// One axis of one class of outputs: i = 0 .. count - 1.
struct ConvAxis {
  int count;        // outputs
  int first, step;  // output i is at first + i step
  int from, by;     // tap t of it reads at from + i by + t
  int taps;
  int tap_first, tap_step;  // tap t is tap_first + t tap_step in the pack

  __host__ __device__ int position(int i) const { return first + i * step; }
  __host__ __device__ int tap(int t) const { return tap_first + t * tap_step; }
};

__host__ __device__ inline ConvAxis forward_axis(int out, int kernel, int stride, int pad) {
  return {out, 0, 1, -pad, stride, kernel, 0, 1};
}

// The outputs of backward data (rows of the convolution's input, `in` of them) at first, first +
// stride, ...; first < stride names the class.
__host__ __device__ inline ConvAxis backward_axis(int in, int kernel, int stride, int pad,
                                                  int first) {
  const int r = (first + pad) % stride;
  const int taps = r < kernel ? (kernel - r + stride - 1) / stride : 0;
  const int count = first < in ? (in - first + stride - 1) / stride : 0;
  return {count,
          first,
          stride,
          (first + pad - r) / stride - (taps - 1),
          1,
          taps,
          kernel - 1 - r - stride * (taps - 1),
          stride};
}

struct ConvProblem {
  int batch;
  int in_h, in_w, in_c;     // of the images that are read, all groups
  int out_h, out_w, out_c;  // of those that are written
  int kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
  PackLayout pack;
  bool in_vectors, out_vectors;  // 16 bytes lie within a pixel's group and are aligned

  bool operator==(const ConvProblem&) const = default;
  __host__ __device__ int classes() const { return pack.backward ? stride_h * stride_w : 1; }
  __host__ __device__ ConvAxis rows(int of_class) const {
    return pack.backward ? backward_axis(out_h, kernel_h, stride_h, pad_h, of_class / stride_w)
                         : forward_axis(out_h, kernel_h, stride_h, pad_h);
  }
  __host__ __device__ ConvAxis columns(int of_class) const {
    return pack.backward ? backward_axis(out_w, kernel_w, stride_w, pad_w, of_class % stride_w)
                         : forward_axis(out_w, kernel_w, stride_w, pad_w);
  }
};

// Of forward, tangent (which reads two images; `second` may be null) and backward data.
template <class T>
ConvProblem conv_problem(const Conv2dShape& s, bool backward, const T* first, const T* second,
                         const T* out) {
  for (const std::int64_t size : {s.batch, s.in_h, s.in_w, s.in_c, s.out_c, s.kernel_h, s.kernel_w,
                                  s.stride_h, s.stride_w, s.pad_h, s.pad_w}) {
    require_argument(size < std::int64_t(1) << 30, "conv2d: sizes below 2^30 expected", size);
  }
  const PackLayout layout(s, backward, kStepChannels<T>);
  const bool in = layout.in_c % kPieceChannels<T> == 0,
             out_c = layout.out_c % kPieceChannels<T> == 0;
  ConvProblem p{int(s.batch),
                int(s.in_h),
                int(s.in_w),
                int(s.in_c),
                int(s.out_h()),
                int(s.out_w()),
                int(s.out_c),
                int(s.kernel_h),
                int(s.kernel_w),
                int(s.stride_h),
                int(s.stride_w),
                int(s.pad_h),
                int(s.pad_w),
                layout,
                in && aligned_to_16(first, second),
                out_c && aligned_to_16(out)};
  if (backward) {
    std::swap(p.in_h, p.out_h);
    std::swap(p.in_w, p.out_w);
    std::swap(p.in_c, p.out_c);
  }
  return p;
}

// Images of T and the pack that they meet.
template <class T>
struct ConvSource {
  const T* image = nullptr;
  const std::uint32_t* pack = nullptr;
};

// One, or the two of a tangent.
template <class T>
struct ConvSources {
  ConvSource<T> first, second;
  int count;

  // By value: a reference into kernel parameters that depends on i would move them to memory.
  __device__ ConvSource<T> operator[](int i) const {
    return {i == 0 ? first.image : second.image, i == 0 ? first.pack : second.pack};
  }
};

}  // namespace ek::kernels::EK_TARGET
