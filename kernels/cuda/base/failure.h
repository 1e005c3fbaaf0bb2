#pragma once

namespace ek::kernels::cuda_target {

// Throws ek::Error with CUDA's name and description of `status` (a cudaError_t) unless it is
// success. `where` is the __PRETTY_FUNCTION__ of the caller. Not inline: nvcc need not parse fmt.
void check(int status, const char* where);

}  // namespace ek::kernels::cuda_target
