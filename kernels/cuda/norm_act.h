#pragma once
#include "kernels/cuda/base/primitives.cuh"
#include "kernels/norm.h"

namespace ek::kernels::EK_TARGET {

// norm_act_vjp for the cotangent dact + dact_more, a sum that is not rounded to T; dact_more may be
// null (zero). out.dy may be dact: each element is read before it is written, by one thread.
template <class T>
void norm_act_vjp_of_sum(Stream stream, const NormParams<T>& params, const T* y, const T* act,
                         const T* dact, const T* dact_more, const NormActCotangents<T>& out,
                         Workspace workspace);

}  // namespace ek::kernels::EK_TARGET
