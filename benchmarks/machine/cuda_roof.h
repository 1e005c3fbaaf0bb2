#pragma once
#include <functional>

#include "benchmarks/machine/place.h"

namespace ek::bench {

// The roof of the GPU in force: copies within `memory`, which holds numbers and is overwritten, and
// cuBLAS products of 8192 x 8192, in float32, tf32 and bf16 (without cuBLAS those of
// kernels/gemm.h, float32 and tf32 alone). `seconds_of` times what a call puts on the stream.
Roof measure_cuda_roof(void* memory, std::size_t bytes, double seconds, void* stream,
                       const std::function<double(const Call&)>& seconds_of);

}  // namespace ek::bench
