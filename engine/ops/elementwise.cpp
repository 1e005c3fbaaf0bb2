// Elementwise ops. Their Jacobians are diagonal, so the vjp and the jvp of a unary op are one rule.
#include "kernels/elementwise.h"

#include <array>

#include "engine/ops/common.h"

namespace ek::ops {
namespace {

using kernels::Binary;
using kernels::Unary;

// d -> f'(x) d, with what f' is computed from: the output y where that is cheaper than x.
using DiagonalRule = Tensor (*)(const Tensor& d, const Tensor& saved);

class UnaryOp final : public Op {
 public:
  UnaryOp(std::string_view name, const Tensor& saved, DiagonalRule rule)
      : name_(name), saved_(saved), rule_(rule) {}
  std::string_view name() const override { return name_; }
  Tensors vjp(const Tensors& ct, const Needs&) const override {
    return {rule_(ct[0], saved_.get())};
  }
  Tensors jvp(const Tensors& t) const override { return {rule_(t[0], saved_.get())}; }

 private:
  std::string_view name_;
  Saved saved_;
  DiagonalRule rule_;
};

class Affine final : public Op {
 public:
  explicit Affine(Number scale) : scale_(std::move(scale)) {}
  std::string_view name() const override { return "affine"; }
  Tensors vjp(const Tensors& ct, const Needs&) const override { return {affine(ct[0], scale_)}; }
  Tensors jvp(const Tensors& t) const override { return {affine(t[0], scale_)}; }

 private:
  Number scale_;
};

class Add final : public Op {
 public:
  std::string_view name() const override { return "add"; }
  Tensors vjp(const Tensors& ct, const Needs&) const override { return {ct[0], ct[0]}; }
  Tensors jvp(const Tensors& t) const override { return {plus(t[0], t[1])}; }
};

class Sub final : public Op {
 public:
  std::string_view name() const override { return "sub"; }
  Tensors vjp(const Tensors& ct, const Needs& needs) const override {
    return {ct[0], needs[1] ? neg(ct[0]) : Tensor()};
  }
  Tensors jvp(const Tensors& t) const override {
    if (!t[1]) return {t[0]};
    return {t[0] ? sub(t[0], t[1]) : neg(t[1])};
  }
};

class Mul final : public Op {
 public:
  Mul(const Tensor& a, const Tensor& b) : a_(a), b_(b) {}
  std::string_view name() const override { return "mul"; }
  Tensors vjp(const Tensors& ct, const Needs& needs) const override {
    return {needs[0] ? mul(ct[0], b_.get()) : Tensor(), needs[1] ? mul(ct[0], a_.get()) : Tensor()};
  }
  Tensors jvp(const Tensors& t) const override {
    return {plus(t[0] ? mul(t[0], b_.get()) : Tensor(), t[1] ? mul(t[1], a_.get()) : Tensor())};
  }

 private:
  Saved a_, b_;
};

// y = a / b:  dy = (da - y db) / b
class Div final : public Op {
 public:
  Div(const Tensor& b, const Tensor& y) : b_(b), y_(y) {}
  std::string_view name() const override { return "div"; }
  Tensors vjp(const Tensors& ct, const Needs& needs) const override {
    Tensor da = div(ct[0], b_.get());
    return {da, needs[1] ? neg(mul(da, y_.get())) : Tensor()};
  }
  Tensors jvp(const Tensors& t) const override {
    Tensor from_b = t[1] ? neg(mul(t[1], y_.get())) : Tensor();
    return {div(plus(t[0], from_b), b_.get())};
  }

 private:
  Saved b_, y_;
};

class Gate final : public Op {
 public:
  explicit Gate(const Tensor& b) : b_(b) {}
  std::string_view name() const override { return "gate"; }
  Tensors vjp(const Tensors& ct, const Needs& needs) const override {
    return {needs[0] ? gate(ct[0], b_.get()) : Tensor(), {}};
  }
  Tensors jvp(const Tensors& t) const override { return {t[0] ? gate(t[0], b_.get()) : Tensor()}; }

 private:
  Saved b_;
};

Tensor run(std::string_view name, Unary op, const Tensor& x) {
  require_floating(name, x, "x");
  Tensor y = empty_like(x);
  ProfileScope scope(
      name, [&] { return x.shape().str(); }, double(x.numel()), 2.0 * double(x.bytes()));
  dispatch_floating(name, x, [&]<class B, class T>() {
    kernels::unary<B, T>(current_stream(), op, x.numel(), x.data<T>(), y.output<T>());
  });
  return y;
}

Tensor run(std::string_view name, Binary op, const Tensor& a, const Tensor& b) {
  require_same(name, a, b);
  Tensor y = empty_like(a);
  ProfileScope scope(
      name, [&] { return a.shape().str(); }, double(a.numel()), 3.0 * double(a.bytes()));
  auto kernel = [&]<class B, class T>() {
    kernels::binary<B, T>(current_stream(), op, a.numel(), a.data<T>(), b.data<T>(), y.output<T>());
  };
  // Sums and masks of activations; the others compose derivatives, which are taken in float32.
  if (op == Binary::add || op == Binary::gate) {
    dispatch_activation(name, a, kernel);
  } else {
    dispatch_floating(name, a, kernel);
  }
  return y;
}

void record_unary(std::string_view name, const Tensor& x, const Tensor& y, const Tensor& saved,
                  DiagonalRule rule) {
  record(std::array{x}, std::array{y},
         [&] { return std::make_unique<UnaryOp>(name, saved, rule); });
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  Tensor y = run("add", Binary::add, a, b);
  record(std::array{a, b}, std::array{y}, [] { return std::make_unique<Add>(); });
  return y;
}

Tensor sub(const Tensor& a, const Tensor& b) {
  Tensor y = run("sub", Binary::subtract, a, b);
  record(std::array{a, b}, std::array{y}, [] { return std::make_unique<Sub>(); });
  return y;
}

Tensor mul(const Tensor& a, const Tensor& b) {
  Tensor y = run("mul", Binary::multiply, a, b);
  record(std::array{a, b}, std::array{y}, [&] { return std::make_unique<Mul>(a, b); });
  return y;
}

Tensor div(const Tensor& a, const Tensor& b) {
  Tensor y = run("div", Binary::divide, a, b);
  record(std::array{a, b}, std::array{y}, [&] { return std::make_unique<Div>(b, y); });
  return y;
}

Tensor gate(const Tensor& a, const Tensor& b) {
  Tensor y = run("gate", Binary::gate, a, b);
  record(std::array{a, b}, std::array{y}, [&] { return std::make_unique<Gate>(b); });
  return y;
}

Tensor affine(const Tensor& x, const Number& scale, double shift) {
  require_floating("affine", x, "x");
  const kernels::Scalar by = scale.on(x.device(), "affine");
  Tensor y = empty_like(x);
  {
    ProfileScope scope(
        "affine", [&] { return x.shape().str(); }, 2.0 * double(x.numel()),
        2.0 * double(x.bytes()));
    dispatch_floating("affine", x, [&]<class B, class T>() {
      kernels::affine<B, T>(current_stream(), x.numel(), by, shift, x.data<T>(), y.output<T>());
    });
  }
  record(std::array{x}, std::array{y}, [&] { return std::make_unique<Affine>(scale); });
  return y;
}

Tensor neg(const Tensor& x) {
  Tensor y = run("neg", Unary::negate, x);
  record(std::array{x}, std::array{y}, [] { return std::make_unique<Affine>(-1); });
  return y;
}

Tensor exp(const Tensor& x) {
  Tensor y = run("exp", Unary::exp, x);
  record_unary("exp", x, y, y, [](const Tensor& d, const Tensor& saved) { return mul(d, saved); });
  return y;
}

Tensor log(const Tensor& x) {
  Tensor y = run("log", Unary::log, x);
  record_unary("log", x, y, x, [](const Tensor& d, const Tensor& saved) { return div(d, saved); });
  return y;
}

// y = x^(-1/2):  y' = -y^3 / 2
Tensor rsqrt(const Tensor& x) {
  Tensor y = run("rsqrt", Unary::rsqrt, x);
  record_unary("rsqrt", x, y, y, [](const Tensor& d, const Tensor& saved) {
    return mul(affine(d, -0.5), mul(saved, square(saved)));
  });
  return y;
}

// y' = y (1 - y)
Tensor sigmoid(const Tensor& x) {
  Tensor y = run("sigmoid", Unary::sigmoid, x);
  record_unary("sigmoid", x, y, y, [](const Tensor& d, const Tensor& saved) {
    return mul(d, mul(saved, affine(saved, -1, 1)));
  });
  return y;
}

Tensor square(const Tensor& x) {
  Tensor y = run("square", Unary::square, x);
  record_unary("square", x, y, x,
               [](const Tensor& d, const Tensor& saved) { return mul(affine(d, 2), saved); });
  return y;
}

// y > 0 exactly where x > 0, and y is what the next op keeps anyway.
Tensor relu(const Tensor& x) {
  Tensor y = run("relu", Unary::relu, x);
  record_unary("relu", x, y, y,
               [](const Tensor& d, const Tensor& saved) { return gate(d, saved); });
  return y;
}

}  // namespace ek::ops
