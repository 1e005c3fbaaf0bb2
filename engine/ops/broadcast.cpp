// Repetition along extent-1 dimensions and its transpose, the sum over them.
#include <array>

#include "engine/ops/common.h"
#include "kernels/reduce.h"

namespace ek::ops {
namespace {

class BroadcastTo final : public Op {
 public:
  BroadcastTo(const Shape& small, const Shape& large, double scale)
      : small_(small), large_(large), scale_(scale) {}
  std::string_view name() const override { return "broadcast_to"; }
  Tensors vjp(const Tensors& ct, const Needs&) const override {
    return {sum_to(ct[0], small_, scale_)};
  }
  Tensors jvp(const Tensors& t) const override { return {broadcast_to(t[0], large_, scale_)}; }

 private:
  Shape small_, large_;
  double scale_;
};

class SumTo final : public Op {
 public:
  SumTo(const Shape& small, const Shape& large, double scale)
      : small_(small), large_(large), scale_(scale) {}
  std::string_view name() const override { return "sum_to"; }
  Tensors vjp(const Tensors& ct, const Needs&) const override {
    return {broadcast_to(ct[0], large_, scale_)};
  }
  Tensors jvp(const Tensors& t) const override { return {sum_to(t[0], small_, scale_)}; }

 private:
  Shape small_, large_;
  double scale_;
};

// small[d] is large[d] or 1 everywhere, or an Error; `from` and `to` are for its text.
void require_broadcastable(std::string_view op, const Shape& small, const Shape& large,
                           const Shape& from, const Shape& to) {
  bool fits = small.rank() == large.rank();
  for (int d = 0; fits && d < small.rank(); ++d) fits = small[d] == large[d] || small[d] == 1;
  if (!fits) {
    fail("{}: {} cannot become {} (equal ranks, each extent equal or 1 on the small side)", op,
         from.str(), to.str());
  }
}

kernels::BroadcastShape kernel_shape(const Shape& small, const Shape& large) {
  static_assert(Shape::max_rank <= kernels::BroadcastShape::rank);
  kernels::BroadcastShape shape;
  shape.small_shape.fill(1);
  shape.large_shape.fill(1);
  const int lead = kernels::BroadcastShape::rank - small.rank();
  for (int d = 0; d < small.rank(); ++d) {
    shape.small_shape[std::size_t(lead + d)] = small[d];
    shape.large_shape[std::size_t(lead + d)] = large[d];
  }
  return shape;
}

// [1, 1, ...] of as many dimensions.
Shape ones_of(const Shape& shape) {
  std::array<std::int64_t, Shape::max_rank> ones;
  ones.fill(1);
  return Shape(std::span(ones).first(std::size_t(shape.rank())));
}

}  // namespace

Tensor broadcast_to(const Tensor& x, const Shape& shape, double scale) {
  require_floating("broadcast_to", x, "x");
  require_broadcastable("broadcast_to", x.shape(), shape, x.shape(), shape);
  if (x.shape() == shape) return scale == 1 ? x : affine(x, scale);
  Tensor y = empty_like(x, shape);
  {
    ProfileScope scope(
        "broadcast_to", [&] { return fmt::format("{} -> {}", x.shape().str(), shape.str()); }, 0,
        double(x.bytes() + y.bytes()));
    dispatch_floating("broadcast_to", x, [&]<class B, class T>() {
      kernels::broadcast<B, T>(current_stream(), kernel_shape(x.shape(), shape), x.data<T>(),
                               y.output<T>(), scale);
    });
  }
  record(std::array{x}, std::array{y},
         [&] { return std::make_unique<BroadcastTo>(x.shape(), shape, scale); });
  return y;
}

Tensor sum_to(const Tensor& x, const Shape& shape, double scale) {
  require_floating("sum_to", x, "x");
  require_broadcastable("sum_to", shape, x.shape(), x.shape(), shape);
  if (x.shape() == shape) return scale == 1 ? x : affine(x, scale);
  Tensor y = empty_like(x, shape);
  {
    ProfileScope scope(
        "sum_to", [&] { return fmt::format("{} -> {}", x.shape().str(), shape.str()); },
        double(x.numel()), double(x.bytes() + y.bytes()));
    dispatch_floating("sum_to", x, [&]<class B, class T>() {
      kernels::sum_to<B, T>(current_stream(), kernel_shape(shape, x.shape()), x.data<T>(),
                            y.output<T>(), scale);
    });
  }
  record(std::array{x}, std::array{y},
         [&] { return std::make_unique<SumTo>(shape, x.shape(), scale); });
  return y;
}

Tensor sum(const Tensor& x) {
  require_floating("sum", x, "x");
  return reshape(sum_to(x, ones_of(x.shape())), Shape{});
}

Tensor mean(const Tensor& x) {
  require_floating("mean", x, "x");
  require(x.numel() > 0, "mean: shape {} holds no element", x.shape().str());
  return reshape(sum_to(x, ones_of(x.shape()), 1.0 / double(x.numel())), Shape{});
}

}  // namespace ek::ops
