#pragma once
#include <cstdint>

#include "kernels/base/backend.h"

namespace ek::kernels {

// Pooling over NHWC images; padding of average pooling counts as zeros (PyTorch's default), that
// of maximum pooling never wins. Windows that lie wholly in the padding are refused by the caller.
struct Pool2dShape {
  std::int64_t batch, in_h, in_w, channels;
  std::int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h = 0, pad_w = 0;

  std::int64_t out_h() const { return (in_h + 2 * pad_h - kernel_h) / stride_h + 1; }
  std::int64_t out_w() const { return (in_w + 2 * pad_w - kernel_w) / stride_w + 1; }
  std::int64_t input_size() const { return batch * in_h * in_w * channels; }
  std::int64_t output_size() const { return batch * out_h() * out_w() * channels; }
};

// y = window maximum; argmax [like y] = flat index into x of the first maximum in row-major window
// order. A NaN wins.
template <class B, class T>
void max_pool2d_forward(Stream stream, const Pool2dShape& shape, const T* x, T* y,
                        std::int64_t* argmax);

// out[i] = x[argmax[i]]: the tangent of max pooling. count = output_size().
template <class B, class T>
void max_pool2d_gather(Stream stream, std::int64_t count, const T* x, const std::int64_t* argmax,
                       T* out);

// dx = sum of dy over the windows that chose each element: the transpose of the gather.
template <class B, class T>
void max_pool2d_scatter(Stream stream, const Pool2dShape& shape, const T* dy,
                        const std::int64_t* argmax, T* dx);

template <class B, class T>
void avg_pool2d_forward(Stream stream, const Pool2dShape& shape, const T* x, T* y);
template <class B, class T>
void avg_pool2d_backward(Stream stream, const Pool2dShape& shape, const T* dy, T* dx);

// y [batch, channels] = mean over the pixels of x [batch, pixels, channels], in the accumulation
// type: what follows, the classifier, is float beside bf16 images.
template <class B, class T>
void global_avg_pool_forward(Stream stream, std::int64_t batch, std::int64_t pixels,
                             std::int64_t channels, const T* x, Acc<T>* y);
template <class B, class T>
void global_avg_pool_backward(Stream stream, std::int64_t batch, std::int64_t pixels,
                              std::int64_t channels, const Acc<T>* dy, T* dx);

// The parameter-free shortcut of CIFAR ResNets (option A, docs/protocol.md): every second row
// and column of x [batch, h, w, c], with zero channels before and behind up to out_c.
struct SubsampleShape {
  std::int64_t batch, in_h, in_w, in_c, out_c;
  std::int64_t stride = 2;
  std::int64_t out_h() const { return (in_h + stride - 1) / stride; }
  std::int64_t out_w() const { return (in_w + stride - 1) / stride; }
  std::int64_t pad_before() const { return (out_c - in_c) / 2; }
};
template <class B, class T>
void subsample_pad_forward(Stream stream, const SubsampleShape& shape, const T* x, T* y);
template <class B, class T>
void subsample_pad_backward(Stream stream, const SubsampleShape& shape, const T* dy, T* dx);

}  // namespace ek::kernels
