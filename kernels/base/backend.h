#pragma once
#include <cstddef>
#include <cstdint>

namespace ek {

// bfloat16 as stored: the upper half of a float32. Arithmetic happens in float32. Trivial, so that
// it can lie in a GPU's shared memory, which runs no constructors.
struct bf16 {
  std::uint16_t bits;
};

namespace kernels {

// Backend tags. Every kernel is declared once, as a template over a tag and an element type, and
// each backend specialises it: kernels/cpu/conv/conv.cpp holds conv2d_forward<Cpu, float> and <Cpu,
// double>; the CUDA sources specialise Cuda under nvcc and Simt under the host compiler. A kernel
// that a backend lacks does not link, and engine/tensor/dispatch.h refuses it by name before that.
struct Cpu {};
struct Simt {};
struct Cuda {};

// The queue that a kernel is put on. `native` is a cudaStream_t for Cuda; the CPU runs at once.
struct Stream {
  void* native = nullptr;
};

// Scratch memory of at least the size that the family's *_workspace_bytes function names,
// aligned to 64 bytes. Kernels never allocate.
struct Workspace {
  void* data = nullptr;
  std::size_t bytes = 0;
};

// Type of statistics, losses and sums beside tensors of T.
template <class T>
struct AccumulateIn {
  using type = T;
};
template <>
struct AccumulateIn<bf16> {
  using type = float;
};
template <class T>
using Acc = typename AccumulateIn<T>::type;

}  // namespace kernels
}  // namespace ek
