#pragma once
#include <initializer_list>
#include <string_view>
#include <vector>

#include "engine/autodiff/tape.h"
#include "engine/ops.h"
#include "engine/profile/profiler.h"
#include "engine/tensor/dispatch.h"

namespace ek::ops {

// Sum of two cotangents or tangents of which either may be undefined (zero).
inline Tensor plus(const Tensor& a, const Tensor& b) {
  if (!a) return b;
  if (!b) return a;
  return add(a, b);
}

// Given and of a floating-point dtype, or an Error that names the op and the argument.
void require_floating(std::string_view op, const Tensor& x, std::string_view what);
// Same shape, dtype and device, or an Error that names the op.
void require_same(std::string_view op, const Tensor& a, const Tensor& b);
void require_rank(std::string_view op, const Tensor& x, int rank, std::string_view what);
// On the device of x, or an Error that names the op and both devices.
void require_device(std::string_view op, const Tensor& x, const Tensor& other,
                    std::string_view what);
// int64 of shape [n] beside x, with every value in [0, bound); values are not looked at during
// a capture.
void require_index(std::string_view op, const Tensor& x, const Tensor& index, std::int64_t n,
                   std::int64_t bound);

// Result of an op, an empty tensor of a shape like another one.
inline Tensor empty_like(const Tensor& like) {
  return Tensor::empty(like.shape(), like.dtype(), like.device());
}
inline Tensor empty_like(const Tensor& like, const Shape& shape) {
  return Tensor::empty(shape, like.dtype(), like.device());
}

}  // namespace ek::ops
