#pragma once
#include <string>
#include <string_view>

#include "engine/ops.h"
#include "kernels/conv.h"

namespace ek::ops {

// The geometry of a convolution, or an Error that names `op` and says what does not fit.
kernels::Conv2dShape conv_geometry(std::string_view op, const Shape& x, const Shape& weight,
                                   const Conv2dOptions& options);

Shape input_shape(const kernels::Conv2dShape& g);      // NHWC
Shape weight_shape_of(const kernels::Conv2dShape& g);  // OHWI
Shape output_shape(const kernels::Conv2dShape& g);     // NHWC

// For profiles: "x [128, 32, 32, 16] w [16, 3, 3, 16] stride 1".
std::string conv_text(const kernels::Conv2dShape& g);

// Images under the argument's `name` and the weights that go with them: floating-point, weights of
// the accumulation dtype, on one device.
void require_weight(std::string_view op, const Tensor& images, const Tensor& weight,
                    std::string_view name);

}  // namespace ek::ops
