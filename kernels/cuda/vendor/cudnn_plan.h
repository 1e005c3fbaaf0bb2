#pragma once
#include <cudnn.h>

#include <memory>

#include "kernels/base/error.h"
#include "kernels/conv.h"

namespace ek::kernels::vendor {

// Throws Error "OP of SHAPE: cuDNN: WHAT" unless `status` is success.
void check(cudnnStatus_t status, const Conv2dShape& shape, const char* op);

// This thread's handle, on `stream`.
cudnnHandle_t handle_on(Stream stream);

// A cuDNN descriptor that is destroyed with its owner.
template <class D>
using Owned = std::shared_ptr<std::remove_pointer_t<D>>;

// What cuDNN wants to know of a pass, and the algorithm for it: the first of its own order that is
// deterministic and multiplies as the shape says.
struct ConvPlan {
  Conv2dShape shape;
  Conv2dPass pass;  // not tangent, which is two forward passes
  bool bf16;
  Owned<cudnnTensorDescriptor_t> x = {}, y = {};
  Owned<cudnnFilterDescriptor_t> weight = {};  // of the images' type
  Owned<cudnnConvolutionDescriptor_t> convolution = {};
  int algorithm = 0;  // of the pass's enumeration
  std::size_t workspace_bytes = 0;
};

// Made once per thread, shape, pass and type.
const ConvPlan& plan_for(const Conv2dShape& shape, Conv2dPass pass, bool bf16);

}  // namespace ek::kernels::vendor
