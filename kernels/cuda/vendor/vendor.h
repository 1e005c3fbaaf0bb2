#pragma once

namespace ek::kernels {

// The tag of NVIDIA's libraries: conv2d_* by cuDNN (float and bf16) and gemm by cuBLAS (float and
// double) behind the declarations of kernels/conv.h and kernels/gemm.h, for comparison and for
// shapes that the kernels of kernels/cuda are not made for. Deterministic algorithms alone. Packs
// and workspaces are this backend's own. Library handles are made once per thread, and allocate
// then.
struct Vendor {};

}  // namespace ek::kernels
