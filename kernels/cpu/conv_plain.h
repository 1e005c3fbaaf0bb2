#pragma once
#include "kernels/conv.h"

namespace ek::kernels::cpu {

// Convolution in plain loops and OpenMP, for float and double and every shape: the float64 path,
// and that of float32 where there is no oneDNN or oneDNN has nothing good. Arguments as in
// kernels/conv.h. Each output is summed by one thread in an order given by the shape.

template <class T>
std::size_t plain_workspace_bytes(const Conv2dShape& shape, Conv2dPass pass);

// y = conv(x, weight), or y += with `accumulate`.
template <class T>
void plain_forward(const Conv2dShape& shape, const T* x, const T* weight, T* y, bool accumulate,
                   Workspace workspace);

template <class T>
void plain_backward_data(const Conv2dShape& shape, const T* dy, const T* weight, T* dx,
                         Workspace workspace);

template <class T>
void plain_backward_weights(const Conv2dShape& shape, const T* x, const T* dy, T* dweight,
                            Workspace workspace);

}  // namespace ek::kernels::cpu
