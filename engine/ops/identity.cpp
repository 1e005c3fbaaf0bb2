// Ops that change a tensor's shape, identity or width, and nothing else.
#include <array>

#include "engine/ops/common.h"
#include "kernels/elementwise.h"

namespace ek::ops {
namespace {

// reshape and alias: the cotangent takes the way back.
class View final : public Op {
 public:
  View(std::string_view name, const Shape& from, const Shape& to)
      : name_(name), from_(from), to_(to) {}
  std::string_view name() const override { return name_; }
  Tensors vjp(const Tensors& ct, const Needs&) const override { return {reshape(ct[0], from_)}; }
  Tensors jvp(const Tensors& t) const override { return {reshape(t[0], to_)}; }

 private:
  std::string_view name_;
  Shape from_, to_;
};

class Cast final : public Op {
 public:
  Cast(DType from, DType to) : from_(from), to_(to) {}
  std::string_view name() const override { return "cast"; }
  Tensors vjp(const Tensors& ct, const Needs&) const override { return {cast(ct[0], from_)}; }
  Tensors jvp(const Tensors& t) const override { return {cast(t[0], to_)}; }

 private:
  DType from_, to_;
};

class ToDevice final : public Op {
 public:
  ToDevice(Device from, Device to) : from_(from), to_(to) {}
  std::string_view name() const override { return "to_device"; }
  Tensors vjp(const Tensors& ct, const Needs&) const override { return {to_device(ct[0], from_)}; }
  Tensors jvp(const Tensors& t) const override { return {to_device(t[0], to_)}; }

 private:
  Device from_, to_;
};

Tensor recorded_view(std::string_view name, const Tensor& x, const Shape& shape) {
  Tensor y = x.view(shape);
  record(std::array{x}, std::array{y},
         [&] { return std::make_unique<View>(name, x.shape(), shape); });
  return y;
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  require(x.defined(), "reshape: x is undefined");
  require(x.numel() == shape.numel(), "reshape: {} holds {} elements, {} wants {}", x.shape().str(),
          x.numel(), shape.str(), shape.numel());
  return recorded_view("reshape", x, shape);
}

Tensor alias(const Tensor& x) {
  require(x.defined(), "alias: x is undefined");
  return recorded_view("alias", x, x.shape());
}

Tensor stop_gradient(const Tensor& x) {
  require(x.defined(), "stop_gradient: x is undefined");
  return x.view(x.shape());  // a new identity that no tape is told about
}

Tensor cast(const Tensor& x, DType dtype) {
  require_floating("cast", x, "x");
  require(is_floating(dtype), "cast: {} {} cannot become {}, a floating-point dtype is wanted",
          name_of(x.dtype()), x.shape().str(), name_of(dtype));
  if (x.dtype() == dtype) return x;
  Tensor y = Tensor::empty(x.shape(), dtype, x.device());
  {
    ProfileScope scope(
        "cast", [&] { return x.shape().str(); }, 0, double(x.bytes() + y.bytes()));
    dispatch_activation("cast", x, [&]<class B, class From>() {
      dispatch_activation("cast", y, [&]<class, class To>() {
        if constexpr (!std::is_same_v<From, To>) {
          kernels::convert<B, From, To>(current_stream(), x.numel(), x.data<From>(),
                                        y.output<To>());
        }
      });
    });
  }
  record(std::array{x}, std::array{y}, [&] { return std::make_unique<Cast>(x.dtype(), dtype); });
  return y;
}

Tensor to_device(const Tensor& x, Device device) {
  require(x.defined(), "to_device: x is undefined");
  if (x.device() == device) return x;
  Tensor y;
  {
    ProfileScope scope(
        "to_device", [&] { return x.shape().str(); }, 0, 2 * double(x.bytes()));
    y = x.to(device);
  }
  record(std::array{x}, std::array{y},
         [&] { return std::make_unique<ToDevice>(x.device(), device); });
  return y;
}

}  // namespace ek::ops
