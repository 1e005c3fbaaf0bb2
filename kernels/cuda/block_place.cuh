#pragma once
// Where a block stands among those that do the same work: in its grid, or in a part of a grid whose
// other blocks do something else.
#include "kernels/cuda/primitives.cuh"

namespace ek::kernels::EK_TARGET {

struct BlockPlace {
  unsigned x, y, z;
  unsigned width, height;  // blocks along x and y

  __device__ static BlockPlace in_grid() {
    return {blockIdx.x, blockIdx.y, blockIdx.z, gridDim.x, gridDim.y};
  }
  // Block `i` of a grid of this width and height that lies flat in another one.
  __device__ static BlockPlace flat(unsigned i, unsigned width, unsigned height) {
    return {i % width, i / width % height, i / width / height, width, height};
  }
};

}  // namespace ek::kernels::EK_TARGET
