#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/base/backend.h"
#include "kernels/base/float_products.h"

namespace ek::kernels {

// 2-D convolution (cross-correlation, as everywhere in deep learning).
// Layouts: images NHWC [batch, height, width, channels] of T, weights OHWI
// [out_c, kernel_h, kernel_w, in_c / groups] of Acc<T>. All buffers dense; outputs are overwritten.
// With T = bf16 products are summed in float32 and an image is rounded once, when it is stored.
struct Conv2dShape {
  std::int64_t batch, in_h, in_w, in_c;
  std::int64_t out_c, kernel_h, kernel_w;
  std::int64_t stride_h = 1, stride_w = 1, pad_h = 0, pad_w = 0, groups = 1;
  FloatProducts products = FloatProducts::exact;

  std::int64_t out_h() const { return (in_h + 2 * pad_h - kernel_h) / stride_h + 1; }
  std::int64_t out_w() const { return (in_w + 2 * pad_w - kernel_w) / stride_w + 1; }
  std::int64_t input_size() const { return batch * in_h * in_w * in_c; }
  std::int64_t output_size() const { return batch * out_h() * out_w() * out_c; }
  std::int64_t weight_size() const { return out_c * kernel_h * kernel_w * (in_c / groups); }
  // Floating-point operations of one pass (a multiply-add counts two), padding included.
  double flops() const {
    return 2.0 * double(output_size()) * double(kernel_h * kernel_w * (in_c / groups));
  }
  bool operator==(const Conv2dShape&) const = default;
};

// Throws Error, starting with `op`, unless sizes are positive (a batch may be 0), groups divide the
// channels and the kernel fits into the padded image. For every backend.
void check_shape(const Conv2dShape& shape, const char* op);

enum class Conv2dPass { forward, backward_data, backward_weights, tangent };

// Weights as a pass reads them: what conv2d_pack wrote, or the OHWI weights themselves where
// conv2d_pack_bytes is 0.
struct ConvPack {
  const void* data = nullptr;
};

// Size of a pack, which is aligned to 64 bytes. It holds for every batch: shapes that differ in
// nothing else share packs. So do the passes forward and tangent; backward_data has its own, and
// backward_weights reads none.
template <class B, class T>
std::size_t conv2d_pack_bytes(const Conv2dShape& shape, Conv2dPass pass);

template <class B, class T>
void conv2d_pack(Stream stream, const Conv2dShape& shape, Conv2dPass pass, const Acc<T>* ohwi,
                 void* pack);

// Bytes of workspace that the pass wants with the number of threads in force; 0 is common.
template <class B, class T>
std::size_t conv2d_workspace_bytes(const Conv2dShape& shape, Conv2dPass pass);

// y = conv(x, weight)
template <class B, class T>
void conv2d_forward(Stream stream, const Conv2dShape& shape, const T* x, ConvPack weight, T* y,
                    Workspace workspace);

// dx = the cotangent of x for the cotangent dy of y
template <class B, class T>
void conv2d_backward_data(Stream stream, const Conv2dShape& shape, const T* dy, ConvPack weight,
                          T* dx, Workspace workspace);

// dweight = the cotangent of weight, OHWI. Summed over fixed slices of the batch in a fixed order,
// so that the bits do not depend on the number of threads.
template <class B, class T>
void conv2d_backward_weights(Stream stream, const Conv2dShape& shape, const T* x, const T* dy,
                             Acc<T>* dweight, Workspace workspace);

// y_tangent = conv(x_tangent, weight) + conv(x, weight_tangent), rounded once. Either tangent may
// be null (zero), not both.
template <class B, class T>
void conv2d_tangent(Stream stream, const Conv2dShape& shape, const T* x, ConvPack weight,
                    const T* x_tangent, ConvPack weight_tangent, T* y_tangent, Workspace workspace);

}  // namespace ek::kernels
