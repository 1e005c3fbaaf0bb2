#pragma once
// Where a block stands among those that do the same work: in its grid, or in a part of a grid whose
// other blocks do something else.
#include <cstdint>

#include "kernels/cuda/base/primitives.cuh"

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

// Of `parts` parts of a grid, one behind the other, the one that `block` is in; `block` becomes its
// number there. end_of(i) is one past part i's last block and never decreases; some part holds the
// block. By halving: what tells of the parts are kernel arguments, slow where one is first read.
template <class Ends, class Index>
__device__ int part_of_block(const Ends& end_of, int parts, Index& block) {
  int low = 0;
  for (int high = parts - 1; low < high;) {
    const int middle = (low + high) / 2;
    if (block < end_of(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  if (low > 0) block -= end_of(low - 1);
  return low;
}

}  // namespace ek::kernels::EK_TARGET
