// Pooling and the subsampling shortcut: linear maps (maximum pooling once its choices are made),
// each recorded with its transpose.
#include "kernels/pool.h"

#include <array>

#include "engine/ops/linear_pair.h"

namespace ek::ops {
namespace {

using kernels::Pool2dShape;
using kernels::SubsampleShape;

Shape input_shape(const Pool2dShape& g) {
  return {g.batch, g.in_h, g.in_w, g.channels};
}
Shape output_shape(const Pool2dShape& g) {
  return {g.batch, g.out_h(), g.out_w(), g.channels};
}

Pool2dShape geometry(std::string_view op, const Tensor& x, const Pool2dOptions& o) {
  require_floating(op, x, "x");
  const Shape& s = x.shape();
  require(s.rank() == 4 && s.numel() > 0,
          "{}: x must be [batch, height, width, channels] and not empty, got {}", op, s.str());
  for (std::size_t i : {0, 1}) {
    const std::int64_t extent = s[int(i) + 1];
    require(o.kernel_size[i] >= 1 && o.stride[i] >= 1 && o.padding[i] >= 0 &&
                o.padding[i] < o.kernel_size[i],
            "{}: kernel_size and stride must be at least 1 and padding in [0, kernel_size), got "
            "kernel_size {}x{}, stride {}x{}, padding {}x{} for x {}",
            op, o.kernel_size[0], o.kernel_size[1], o.stride[0], o.stride[1], o.padding[0],
            o.padding[1], s.str());
    require(extent + 2 * o.padding[i] >= o.kernel_size[i],
            "{}: x {} is smaller than the window {}x{} (padding {}x{}), the output would be empty",
            op, s.str(), o.kernel_size[0], o.kernel_size[1], o.padding[0], o.padding[1]);
  }
  return {s[0],        s[1],        s[2],         s[3],        o.kernel_size[0], o.kernel_size[1],
          o.stride[0], o.stride[1], o.padding[0], o.padding[1]};
}

ProfileScope profiled(std::string_view op, const Tensor& in, const Tensor& out) {
  return ProfileScope(
      op, [&] { return fmt::format("{} -> {}", in.shape().str(), out.shape().str()); },
      double(in.numel() + out.numel()), double(in.bytes() + out.bytes()));
}

// Reads `in`, writes a tensor of shape `out_shape`, as the ops of this file do.
template <class Kernel>
Tensor run(std::string_view op, const Tensor& in, const Shape& out_shape, Kernel&& kernel) {
  Tensor out = empty_like(in, out_shape);
  const ProfileScope profile = profiled(op, in, out);
  dispatch_floating(op, in, [&]<class B, class T>() {
    kernel.template operator()<B, T>(in.data<T>(), out.output<T>());
  });
  return out;
}

// The same for what also works on bfloat16.
template <class Kernel>
Tensor run_activation(std::string_view op, const Tensor& in, const Shape& out_shape,
                      Kernel&& kernel) {
  Tensor out = empty_like(in, out_shape);
  const ProfileScope profile = profiled(op, in, out);
  dispatch_activation(op, in, [&]<class B, class T>() {
    kernel.template operator()<B, T>(in.data<T>(), out.output<T>());
  });
  return out;
}

Tensor max_pool_scatter(const Tensor& dy, const Tensor& argmax, const Pool2dShape& g);

// out[i] = x[argmax[i]]
Tensor max_pool_gather(const Tensor& x, const Tensor& argmax, const Pool2dShape& g) {
  Tensor out = run("max_pool2d_gather", x, output_shape(g), [&]<class B, class T>(auto* in, T* to) {
    kernels::max_pool2d_gather<B, T>(current_stream(), g.output_size(), in,
                                     argmax.data<std::int64_t>(), to);
  });
  return record_linear(
      "max_pool2d_gather", x, out, [=](const Tensor& t) { return max_pool_gather(t, argmax, g); },
      [=](const Tensor& ct) { return max_pool_scatter(ct, argmax, g); });
}

Tensor max_pool_scatter(const Tensor& dy, const Tensor& argmax, const Pool2dShape& g) {
  Tensor out =
      run("max_pool2d_scatter", dy, input_shape(g), [&]<class B, class T>(auto* in, T* to) {
        kernels::max_pool2d_scatter<B, T>(current_stream(), g, in, argmax.data<std::int64_t>(), to);
      });
  return record_linear(
      "max_pool2d_scatter", dy, out,
      [=](const Tensor& t) { return max_pool_scatter(t, argmax, g); },
      [=](const Tensor& ct) { return max_pool_gather(ct, argmax, g); });
}

Tensor avg_pool_backward(const Tensor& dy, const Pool2dShape& g);

Tensor avg_pool(const Tensor& x, const Pool2dShape& g) {
  Tensor out = run("avg_pool2d", x, output_shape(g), [&]<class B, class T>(auto* in, T* to) {
    kernels::avg_pool2d_forward<B, T>(current_stream(), g, in, to);
  });
  return record_linear(
      "avg_pool2d", x, out, [=](const Tensor& t) { return avg_pool(t, g); },
      [=](const Tensor& ct) { return avg_pool_backward(ct, g); });
}

Tensor avg_pool_backward(const Tensor& dy, const Pool2dShape& g) {
  Tensor out =
      run("avg_pool2d_backward", dy, input_shape(g), [&]<class B, class T>(auto* in, T* to) {
        kernels::avg_pool2d_backward<B, T>(current_stream(), g, in, to);
      });
  return record_linear(
      "avg_pool2d_backward", dy, out, [=](const Tensor& t) { return avg_pool_backward(t, g); },
      [=](const Tensor& ct) { return avg_pool(ct, g); });
}

// dy in the accumulation dtype of the images, whose dtype is `dtype`.
Tensor global_avg_pool_backward(const Tensor& dy, const Shape& x_shape, DType dtype) {
  constexpr std::string_view op = "global_avg_pool_backward";
  Tensor dx = Tensor::empty(x_shape, dtype, dy.device());
  {
    const ProfileScope profile = profiled(op, dy, dx);
    dispatch_activation(op, dx, [&]<class B, class T>() {
      kernels::global_avg_pool_backward<B, T>(current_stream(), x_shape[0], x_shape[1] * x_shape[2],
                                              x_shape[3], dy.data<kernels::Acc<T>>(),
                                              dx.output<T>());
    });
  }
  return record_linear(
      op, dy, dx, [=](const Tensor& t) { return global_avg_pool_backward(t, x_shape, dtype); },
      [](const Tensor& ct) { return global_avg_pool(ct); });
}

Tensor subsample_backward(const Tensor& dy, const SubsampleShape& g);

Tensor subsample(const Tensor& x, const SubsampleShape& g) {
  const Shape shape{g.batch, g.out_h(), g.out_w(), g.out_c};
  Tensor out = run_activation("subsample_pad", x, shape, [&]<class B, class T>(auto* in, T* to) {
    kernels::subsample_pad_forward<B, T>(current_stream(), g, in, to);
  });
  return record_linear(
      "subsample_pad", x, out, [=](const Tensor& t) { return subsample(t, g); },
      [=](const Tensor& ct) { return subsample_backward(ct, g); });
}

Tensor subsample_backward(const Tensor& dy, const SubsampleShape& g) {
  const Shape shape{g.batch, g.in_h, g.in_w, g.in_c};
  Tensor out =
      run_activation("subsample_pad_backward", dy, shape, [&]<class B, class T>(auto* in, T* to) {
        kernels::subsample_pad_backward<B, T>(current_stream(), g, in, to);
      });
  return record_linear(
      "subsample_pad_backward", dy, out, [=](const Tensor& t) { return subsample_backward(t, g); },
      [=](const Tensor& ct) { return subsample(ct, g); });
}

}  // namespace

Tensor max_pool2d(const Tensor& x, const Pool2dOptions& options) {
  const Pool2dShape g = geometry("max_pool2d", x, options);
  Tensor argmax = Tensor::empty(output_shape(g), DType::int64, x.device());
  Tensor y = run("max_pool2d", x, output_shape(g), [&]<class B, class T>(auto* in, T* to) {
    kernels::max_pool2d_forward<B, T>(current_stream(), g, in, to, argmax.output<std::int64_t>());
  });
  return record_linear(
      "max_pool2d", x, y, [=](const Tensor& t) { return max_pool_gather(t, argmax, g); },
      [=](const Tensor& ct) { return max_pool_scatter(ct, argmax, g); });
}

Tensor avg_pool2d(const Tensor& x, const Pool2dOptions& options) {
  return avg_pool(x, geometry("avg_pool2d", x, options));
}

Tensor global_avg_pool(const Tensor& x) {
  require_floating("global_avg_pool", x, "x");
  const Shape s = x.shape();
  require(s.rank() == 4 && s.numel() > 0,
          "global_avg_pool: x must be [batch, height, width, channels] and not empty, got {}",
          s.str());
  Tensor y = Tensor::empty({s[0], s[3]}, accumulation_dtype(x.dtype()), x.device());
  {
    const ProfileScope profile = profiled("global_avg_pool", x, y);
    dispatch_activation("global_avg_pool", x, [&]<class B, class T>() {
      kernels::global_avg_pool_forward<B, T>(current_stream(), s[0], s[1] * s[2], s[3], x.data<T>(),
                                             y.output<kernels::Acc<T>>());
    });
  }
  return record_linear(
      "global_avg_pool", x, y, [](const Tensor& t) { return global_avg_pool(t); },
      [s, dtype = x.dtype()](const Tensor& ct) { return global_avg_pool_backward(ct, s, dtype); });
}

Tensor subsample_pad(const Tensor& x, std::int64_t out_channels, std::int64_t stride) {
  require_floating("subsample_pad", x, "x");
  const Shape& s = x.shape();
  require(s.rank() == 4 && s.numel() > 0,
          "subsample_pad: x must be [batch, height, width, channels] and not empty, got {}",
          s.str());
  require(stride >= 1, "subsample_pad: stride must be at least 1, got {}", stride);
  require(out_channels >= s[3], "subsample_pad: x {} has {} channels, more than the {} asked for",
          s.str(), s[3], out_channels);
  return subsample(x, {s[0], s[1], s[2], s[3], out_channels, stride});
}

}  // namespace ek::ops
