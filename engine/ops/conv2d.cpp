// Convolution and its two transposes. All three are bilinear, and each one's rules are the other
// two:  <ct, conv(x, w)> = <x, backward_data(ct, w)> = <w, backward_weights(x, ct)>.
#include "kernels/conv.h"

#include <array>

#include "engine/ops/bilinear_op.h"

namespace ek::ops {
namespace {

using kernels::Conv2dPass;
using kernels::Conv2dShape;

std::string text(const Conv2dOptions& o) {
  return fmt::format("stride {}x{}, padding {}x{}, groups {}", o.stride[0], o.stride[1],
                     o.padding[0], o.padding[1], o.groups);
}

// The geometry of the op, or an Error that says what does not fit.
Conv2dShape geometry(std::string_view op, const Shape& x, const Shape& weight,
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
  return {x[0],      x[1],        x[2],        x[3],         weight[0],    weight[1],
          weight[2], o.stride[0], o.stride[1], o.padding[0], o.padding[1], o.groups};
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

void require_alike(std::string_view op, const Tensor& a, const Tensor& b, std::string_view a_name,
                   std::string_view b_name) {
  require_floating(op, a, a_name);
  require_floating(op, b, b_name);
  require(a.dtype() == b.dtype() && a.device() == b.device(),
          "{}: {} is {} {} on {}, {} is {} {} on {}", op, a_name, name_of(a.dtype()),
          a.shape().str(), a.device().str(), b_name, name_of(b.dtype()), b.shape().str(),
          b.device().str());
}

// Runs one kernel with its workspace and under its profile scope. `kernel` is a template lambda
// that takes the workspace.
template <class Kernel>
void run(std::string_view op, const Conv2dShape& g, Conv2dPass pass, const Tensor& like,
         Kernel&& kernel) {
  auto detail = [&] {
    return fmt::format("x {} w {} stride {}", input_shape(g).str(), weight_shape_of(g).str(),
                       g.stride_h);
  };
  const double passes = pass == Conv2dPass::tangent ? 2 : 1;
  const double elements =
      passes * double(g.input_size() + g.weight_size()) + double(g.output_size());
  ProfileScope profile(op, detail, passes * g.flops(), elements * double(size_of(like.dtype())));
  profile.note({g, pass, like.dtype()});
  dispatch_floating(op, like, [&]<class B, class T>() {
    WorkspaceBuffer workspace(like.device(), kernels::conv2d_workspace_bytes<B, T>(g, pass));
    kernel.template operator()<B, T>(workspace);
  });
}

class Conv2d final : public BilinearOp {
 public:
  Conv2d(const Tensor& x, const Tensor& weight, const Conv2dShape& g, const Conv2dOptions& options)
      : BilinearOp(x, weight), g_(g), options_(options) {}
  std::string_view name() const override { return "conv2d"; }

 protected:
  Tensor apply(const Tensor& x, const Tensor& w) const override { return conv2d(x, w, options_); }
  Tensor transpose_a(const Tensor& ct, const Tensor& w) const override {
    return conv2d_backward_data(ct, w, input_shape(g_), options_);
  }
  Tensor transpose_b(const Tensor& ct, const Tensor& x) const override {
    return conv2d_backward_weights(x, ct, weight_shape_of(g_), options_);
  }
  Tensor apply_sum(const Tensor& dx, const Tensor& w, const Tensor& x,
                   const Tensor& dw) const override {
    // Both products in one kernel, unless an enclosing tape has to see them.
    if (recording(std::array{dx, w, x, dw})) return BilinearOp::apply_sum(dx, w, x, dw);
    Tensor out = empty_like(x, output_shape(g_));
    run("conv2d_tangent", g_, Conv2dPass::tangent, x,
        [&]<class B, class T>(const WorkspaceBuffer& workspace) {
          kernels::conv2d_tangent<B, T>(current_stream(), g_, x.data<T>(), w.data<T>(),
                                        dx.data<T>(), dw.data<T>(), out.output<T>(), workspace);
        });
    return out;
  }

 private:
  Conv2dShape g_;
  Conv2dOptions options_;
};

class Conv2dBackwardData final : public BilinearOp {
 public:
  Conv2dBackwardData(const Tensor& dy, const Tensor& weight, const Conv2dShape& g,
                     const Conv2dOptions& options)
      : BilinearOp(dy, weight), g_(g), options_(options) {}
  std::string_view name() const override { return "conv2d_backward_data"; }

 protected:
  Tensor apply(const Tensor& dy, const Tensor& w) const override {
    return conv2d_backward_data(dy, w, input_shape(g_), options_);
  }
  Tensor transpose_a(const Tensor& ct, const Tensor& w) const override {
    return conv2d(ct, w, options_);
  }
  Tensor transpose_b(const Tensor& ct, const Tensor& dy) const override {
    return conv2d_backward_weights(ct, dy, weight_shape_of(g_), options_);
  }

 private:
  Conv2dShape g_;
  Conv2dOptions options_;
};

class Conv2dBackwardWeights final : public BilinearOp {
 public:
  Conv2dBackwardWeights(const Tensor& x, const Tensor& dy, const Conv2dShape& g,
                        const Conv2dOptions& options)
      : BilinearOp(x, dy), g_(g), options_(options) {}
  std::string_view name() const override { return "conv2d_backward_weights"; }

 protected:
  Tensor apply(const Tensor& x, const Tensor& dy) const override {
    return conv2d_backward_weights(x, dy, weight_shape_of(g_), options_);
  }
  Tensor transpose_a(const Tensor& ct, const Tensor& dy) const override {
    return conv2d_backward_data(dy, ct, input_shape(g_), options_);
  }
  Tensor transpose_b(const Tensor& ct, const Tensor& x) const override {
    return conv2d(x, ct, options_);
  }

 private:
  Conv2dShape g_;
  Conv2dOptions options_;
};

void require_output(std::string_view op, const Tensor& dy, const Conv2dShape& g) {
  require(dy.shape() == output_shape(g), "{}: dy must be {} for x {} and weight {}, got {}", op,
          output_shape(g).str(), input_shape(g).str(), weight_shape_of(g).str(), dy.shape().str());
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Conv2dOptions& options) {
  require_alike("conv2d", x, weight, "x", "weight");
  const Conv2dShape g = geometry("conv2d", x.shape(), weight.shape(), options);
  Tensor y = empty_like(x, output_shape(g));
  run("conv2d", g, Conv2dPass::forward, x, [&]<class B, class T>(const WorkspaceBuffer& workspace) {
    kernels::conv2d_forward<B, T>(current_stream(), g, x.data<T>(), weight.data<T>(), y.output<T>(),
                                  workspace);
  });
  record(std::array{x, weight}, std::array{y},
         [&] { return std::make_unique<Conv2d>(x, weight, g, options); });
  return y;
}

Tensor conv2d_backward_data(const Tensor& dy, const Tensor& weight, const Shape& x_shape,
                            const Conv2dOptions& options) {
  constexpr std::string_view op = "conv2d_backward_data";
  require_alike(op, dy, weight, "dy", "weight");
  const Conv2dShape g = geometry(op, x_shape, weight.shape(), options);
  require_output(op, dy, g);
  Tensor dx = empty_like(dy, x_shape);
  run(op, g, Conv2dPass::backward_data, dy,
      [&]<class B, class T>(const WorkspaceBuffer& workspace) {
        kernels::conv2d_backward_data<B, T>(current_stream(), g, dy.data<T>(), weight.data<T>(),
                                            dx.output<T>(), workspace);
      });
  record(std::array{dy, weight}, std::array{dx},
         [&] { return std::make_unique<Conv2dBackwardData>(dy, weight, g, options); });
  return dx;
}

Tensor conv2d_backward_weights(const Tensor& x, const Tensor& dy, const Shape& weight_shape,
                               const Conv2dOptions& options) {
  constexpr std::string_view op = "conv2d_backward_weights";
  require_alike(op, x, dy, "x", "dy");
  const Conv2dShape g = geometry(op, x.shape(), weight_shape, options);
  require_output(op, dy, g);
  Tensor dweight = empty_like(x, weight_shape);
  run(op, g, Conv2dPass::backward_weights, x,
      [&]<class B, class T>(const WorkspaceBuffer& workspace) {
        kernels::conv2d_backward_weights<B, T>(current_stream(), g, x.data<T>(), dy.data<T>(),
                                               dweight.output<kernels::Acc<T>>(), workspace);
      });
  record(std::array{x, dy}, std::array{dweight},
         [&] { return std::make_unique<Conv2dBackwardWeights>(x, dy, g, options); });
  return dweight;
}

}  // namespace ek::ops
