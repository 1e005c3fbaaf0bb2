#pragma once
#include <cstdint>

#include "kernels/base/backend.h"
#include "kernels/base/scalar.h"

namespace ek::kernels {

enum class Unary { negate, exp, log, rsqrt, sigmoid, relu, square };

// gate: a where b > 0, else 0 (the derivative of ReLU at a stored output b).
enum class Binary { add, subtract, multiply, divide, gate };

// y[i] = op(x[i]); y may be x.
template <class B, class T>
void unary(Stream stream, Unary op, std::int64_t count, const T* x, T* y);

// y[i] = op(a[i], b[i]); y may be a or b.
template <class B, class T>
void binary(Stream stream, Binary op, std::int64_t count, const T* a, const T* b, T* y);

// y[i] = scale * x[i] + shift; y may be x. The scale may lie in the device's memory.
template <class B, class T>
void affine(Stream stream, std::int64_t count, const Scalar& scale, double shift, const T* x, T* y);

// y[i] = x[i] + scale * d[i]: a virtual step (y may be x). The scale may lie in the device's
// memory.
template <class B, class T>
void add_scaled(Stream stream, std::int64_t count, const T* x, const Scalar& scale, const T* d,
                T* y);

template <class B, class T>
void fill(Stream stream, std::int64_t count, double value, T* y);

// Conversion between widths, rounding to nearest even.
template <class B, class From, class To>
void convert(Stream stream, std::int64_t count, const From* x, To* y);

}  // namespace ek::kernels
