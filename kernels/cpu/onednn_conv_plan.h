#pragma once
#include <algorithm>
#include <cstdint>

#include "kernels/conv.h"
#include "kernels/cpu/batch_slices.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/scratch.h"

namespace ek::kernels::onednn {

// One slice length: its primitive, and for a tangent the one that adds to what y holds.
struct ConvSlicePlan {
  dnnl::primitive primitive, accumulating;
  memory::desc src, weights, dst;
  std::size_t scratchpad_bytes = 0;
  bool good = false;  // false: nothing better than oneDNN's reference loops
};

// What is made once for a shape and pass.
struct ConvPlan {
  cpu::BatchSlices slices{0, 1};
  ConvSlicePlan longer, shorter;  // slices of the batch differ by one image at most
  memory::desc ohwi, weights;
  dnnl::reorder reorder;  // between ohwi and weights, where they differ
  std::size_t reorder_scratchpad_bytes = 0;
  bool good = false;

  const ConvSlicePlan& of(std::int64_t slice) const {
    return slices.size(slice) == slices.size(0) ? longer : shorter;
  }
  std::size_t scratchpad_bytes() const {
    return cpu::padded_bytes<char>(
        std::int64_t(std::max(longer.scratchpad_bytes, shorter.scratchpad_bytes)));
  }
  std::size_t weights_bytes() const {
    return cpu::padded_bytes<char>(std::int64_t(weights.get_size()));
  }
};

// The plan of a shape and pass, made at the first call and kept; null where oneDNN refuses. Safe to
// call from several threads.
const ConvPlan* find_conv_plan(const Conv2dShape& shape, Conv2dPass pass);

}  // namespace ek::kernels::onednn
