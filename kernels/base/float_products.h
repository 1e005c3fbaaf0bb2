#pragma once

namespace ek::kernels {

// How a GPU multiplies float32 in convolutions and matrix products: `exact` keeps its accuracy, in
// long sums, too (three tf32 products for one: kernels/cuda/base/split_products.cuh), `tf32` rounds
// each factor to 10 bits. Other types, and the CPU, know `exact` alone.
enum class FloatProducts { exact, tf32 };

}  // namespace ek::kernels
