#pragma once
#include "kernels/cpu/conv/slice_conv.h"

namespace ek::kernels::cpu {

// Convolution in plain loops and OpenMP, for every shape: the float64 path, and that of float32 and
// bf16 where there is no oneDNN or oneDNN has nothing good. Each output is summed by one thread in
// an order given by the shape. bf16 works on float copies of a slice's images.

// A pack is aligned to 64 bytes. That of T = bf16 holds floats that have been rounded to bf16.
template <class T>
std::size_t plain_pack_bytes(const Conv2dShape& shape, Conv2dPass pass);
template <class T>
void plain_pack(const Conv2dShape& shape, Conv2dPass pass, const Acc<T>* ohwi, Acc<T>* pack);

// y = conv(x, weight), or y += with `accumulate`. Weights are packs; T = float or double.
template <class T>
void plain_forward(const Conv2dShape& shape, const T* x, const T* pack, T* y, bool accumulate);
template <class T>
void plain_backward_data(const Conv2dShape& shape, const T* dy, const T* pack, T* dx);

// gradient (OHWI) = the cotangent of the weights, by the calling thread.
template <class T>
void plain_gradient(const Conv2dShape& shape, const T* x, const T* dy, T* gradient);

// The same as slices, T = float, double or bf16.
template <class T>
SliceConvPtr<T> plain_slice_conv(const Conv2dShape& slice);
template <class T>
SliceGradientPtr<T> plain_slice_gradient(const Conv2dShape& slice);

}  // namespace ek::kernels::cpu
