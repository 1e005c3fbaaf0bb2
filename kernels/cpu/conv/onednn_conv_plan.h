#pragma once
#include "kernels/conv.h"
#include "kernels/cpu/conv/onednn.h"

namespace ek::kernels::onednn {

using DataType = memory::data_type;

// Weights as the primitives of a pass want them: chosen by oneDNN for eight images and imposed on
// every other number of them, so that one pack serves all. Forward and tangent share a layout.
struct WeightLayout {
  memory::desc ohwi, blocked;  // ohwi in float32
  dnnl::reorder reorder;       // ohwi to blocked, for a gradient back; empty where they are equal
  std::size_t reorder_scratchpad_bytes = 0;
};

// Null where oneDNN has nothing better than reference loops. `type` is that of the images.
const WeightLayout* find_weight_layout(const Conv2dShape& shape, Conv2dPass pass, DataType type);

// One pass for shape.batch images with one thread.
struct SlicePlan {
  dnnl::primitive primitive;     // of a tangent: conv(x_tangent, weight)
  dnnl::primitive accumulating;  // of a tangent: += conv(x, weight_tangent)
  // dst of a tangent is float32, so that the sum of both products is rounded once.
  memory::desc src, weights, dst;
  std::size_t scratchpad_bytes = 0;
};

// Only where there is a layout.
const SlicePlan& find_slice_plan(const Conv2dShape& shape, Conv2dPass pass, DataType type);

}  // namespace ek::kernels::onednn
