// Convolution and its two transposes. All three are bilinear, and each one's rules are the other
// two:  <ct, conv(x, w)> = <x, backward_data(ct, w)> = <w, backward_weights(x, ct)>.
#include "kernels/conv.h"

#include <array>

#include "engine/ops/bilinear_op.h"
#include "engine/ops/conv_geometry.h"
#include "engine/ops/weight_pack.h"

namespace ek::ops {
namespace {

using kernels::Conv2dPass;
using kernels::Conv2dShape;

// The images of an op: given, floating-point, alike.
void require_images(std::string_view op, const Tensor& a, const Tensor& b, std::string_view a_name,
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
void run(std::string_view op, const Conv2dShape& g, Conv2dPass pass, const Tensor& images,
         Kernel&& kernel) {
  const double passes = pass == Conv2dPass::tangent ? 2 : 1;
  const double image_elements = passes * double(g.input_size()) + double(g.output_size());
  const double bytes =
      image_elements * double(size_of(images.dtype())) +
      passes * double(g.weight_size()) * double(size_of(accumulation_dtype(images.dtype())));
  ProfileScope profile(
      op, [&] { return conv_text(g); }, passes * g.flops(), bytes);
  profile.note({g, pass, images.dtype()});
  dispatch_activation(op, images, [&]<class B, class T>() {
    WorkspaceBuffer workspace(images.device(), kernels::conv2d_workspace_bytes<B, T>(g, pass));
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
          kernels::conv2d_tangent<B, T>(
              current_stream(), g_, x.data<T>(), WeightPack::of<B, T>(w, g_, Conv2dPass::tangent),
              dx.data<T>(), WeightPack::of<B, T>(dw, g_, Conv2dPass::tangent), out.output<T>(),
              workspace);
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
  require_weight("conv2d", x, weight, "x");
  const Conv2dShape g = conv_geometry("conv2d", x.shape(), weight.shape(), options);
  Tensor y = empty_like(x, output_shape(g));
  run("conv2d", g, Conv2dPass::forward, x, [&]<class B, class T>(const WorkspaceBuffer& workspace) {
    kernels::conv2d_forward<B, T>(current_stream(), g, x.data<T>(),
                                  WeightPack::of<B, T>(weight, g, Conv2dPass::forward),
                                  y.output<T>(), workspace);
  });
  record(std::array{x, weight}, std::array{y},
         [&] { return std::make_unique<Conv2d>(x, weight, g, options); });
  return y;
}

Tensor conv2d_backward_data(const Tensor& dy, const Tensor& weight, const Shape& x_shape,
                            const Conv2dOptions& options) {
  constexpr std::string_view op = "conv2d_backward_data";
  require_weight(op, dy, weight, "dy");
  const Conv2dShape g = conv_geometry(op, x_shape, weight.shape(), options);
  require_output(op, dy, g);
  Tensor dx = empty_like(dy, x_shape);
  run(op, g, Conv2dPass::backward_data, dy,
      [&]<class B, class T>(const WorkspaceBuffer& workspace) {
        kernels::conv2d_backward_data<B, T>(
            current_stream(), g, dy.data<T>(),
            WeightPack::of<B, T>(weight, g, Conv2dPass::backward_data), dx.output<T>(), workspace);
      });
  record(std::array{dy, weight}, std::array{dx},
         [&] { return std::make_unique<Conv2dBackwardData>(dy, weight, g, options); });
  return dx;
}

Tensor conv2d_backward_weights(const Tensor& x, const Tensor& dy, const Shape& weight_shape,
                               const Conv2dOptions& options) {
  constexpr std::string_view op = "conv2d_backward_weights";
  require_images(op, x, dy, "x", "dy");
  const Conv2dShape g = conv_geometry(op, x.shape(), weight_shape, options);
  require_output(op, dy, g);
  Tensor dweight = Tensor::empty(weight_shape, accumulation_dtype(x.dtype()), x.device());
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
