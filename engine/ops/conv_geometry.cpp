#include "engine/ops/conv_geometry.h"

#include "engine/ops/common.h"

namespace ek::ops {

using kernels::Conv2dShape;

namespace {

std::string text(const Conv2dOptions& o) {
  return fmt::format("stride {}x{}, padding {}x{}, groups {}", o.stride[0], o.stride[1],
                     o.padding[0], o.padding[1], o.groups);
}

}  // namespace

Conv2dShape conv_geometry(std::string_view op, const Shape& x, const Shape& weight,
                          const Conv2dOptions& o) {
  require(x.rank() == 4, "{}: x must be [batch, height, width, channels], got {}", op, x.str());
  require(weight.rank() == 4, "{}: weight must be [out, height, width, in / groups], got {}", op,
          weight.str());
  require(o.stride[0] >= 1 && o.stride[1] >= 1 && o.padding[0] >= 0 && o.padding[1] >= 0,
          "{}: stride must be at least 1 and padding at least 0, got {}", op, text(o));
  require(o.groups >= 1 && x[3] % o.groups == 0 && weight[0] % o.groups == 0,
          "{}: groups {} must divide the channels of x {} and of weight {}", op, o.groups, x.str(),
          weight.str());
  require(x.numel() > 0 && weight.numel() > 0, "{}: empty operand, x {}, weight {}", op, x.str(),
          weight.str());
  require(weight[3] == x[3] / o.groups, "{}: weight {} takes {} channels, x {} has {} (groups {})",
          op, weight.str(), weight[3] * o.groups, x.str(), x[3], o.groups);
  for (int axis : {0, 1}) {
    require(x[axis + 1] + 2 * o.padding[std::size_t(axis)] >= weight[axis + 1],
            "{}: x {} is smaller than the window of weight {} ({}), the output would be empty", op,
            x.str(), weight.str(), text(o));
  }
  return {x[0],        x[1],        x[2],         x[3],         weight[0], weight[1], weight[2],
          o.stride[0], o.stride[1], o.padding[0], o.padding[1], o.groups,  o.products};
}

Shape input_shape(const Conv2dShape& g) {
  return {g.batch, g.in_h, g.in_w, g.in_c};
}
Shape weight_shape_of(const Conv2dShape& g) {
  return {g.out_c, g.kernel_h, g.kernel_w, g.in_c / g.groups};
}
Shape output_shape(const Conv2dShape& g) {
  return {g.batch, g.out_h(), g.out_w(), g.out_c};
}

std::string conv_text(const Conv2dShape& g) {
  return fmt::format("x {} w {} stride {}", input_shape(g).str(), weight_shape_of(g).str(),
                     g.stride_h);
}

void require_weight(std::string_view op, const Tensor& x, const Tensor& weight,
                    std::string_view name) {
  require_floating(op, x, name);
  require_floating(op, weight, "weight");
  const DType wanted = accumulation_dtype(x.dtype());
  require(weight.dtype() == wanted && x.device() == weight.device(),
          "{}: {} is {} {} on {}, weight is {} {} on {}, expected {} there", op, name,
          name_of(x.dtype()), x.shape().str(), x.device().str(), name_of(weight.dtype()),
          weight.shape().str(), weight.device().str(), name_of(wanted));
}

}  // namespace ek::ops
