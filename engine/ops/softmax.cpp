// softmax and log-sum-exp of the rows of a matrix.
#include "kernels/softmax.h"

#include <array>

#include "engine/ops/common.h"

namespace ek::ops {
namespace {

Tensor row_sums(const Tensor& x) {
  return sum_to(x, {x.size(0), 1});
}

// The Jacobian diag(y) - y y^T of a row is symmetric: one rule, both ways.
class Softmax final : public Op {
 public:
  explicit Softmax(const Tensor& y) : y_(y) {}
  std::string_view name() const override { return "softmax"; }
  Tensors vjp(const Tensors& ct, const Needs&) const override { return {apply(ct[0])}; }
  Tensors jvp(const Tensors& t) const override { return {apply(t[0])}; }

 private:
  Tensor apply(const Tensor& d) const {
    const Tensor& y = y_.get();
    Tensor yd = mul(y, d);
    return sub(yd, mul(y, broadcast_to(row_sums(yd), y.shape())));
  }
  Saved y_;
};

// The gradient of a row is its softmax.
class LogSumExp final : public Op {
 public:
  explicit LogSumExp(const Tensor& x) : x_(x) {}
  std::string_view name() const override { return "logsumexp"; }
  Tensors vjp(const Tensors& ct, const Needs&) const override {
    const Shape& shape = x_.get().shape();
    return {mul(softmax(x_.get()), broadcast_to(reshape(ct[0], {shape[0], 1}), shape))};
  }
  Tensors jvp(const Tensors& t) const override {
    return {reshape(row_sums(mul(softmax(x_.get()), t[0])), {t[0].size(0)})};
  }

 private:
  Saved x_;
};

void check(std::string_view op, const Tensor& x) {
  require_floating(op, x, "x");
  require_rank(op, x, 2, "x");
}

}  // namespace

Tensor softmax(const Tensor& x) {
  check("softmax", x);
  Tensor y = empty_like(x);
  {
    ProfileScope scope(
        "softmax", [&] { return x.shape().str(); }, 4.0 * double(x.numel()),
        2.0 * double(x.bytes()));
    dispatch_floating("softmax", x, [&]<class B, class T>() {
      kernels::softmax<B, T>(current_stream(), x.size(0), x.size(1), x.data<T>(), y.output<T>(),
                             nullptr);
    });
  }
  record(std::array{x}, std::array{y}, [&] { return std::make_unique<Softmax>(y); });
  return y;
}

Tensor logsumexp(const Tensor& x) {
  check("logsumexp", x);
  Tensor lse = empty_like(x, {x.size(0)});
  {
    ProfileScope scope(
        "logsumexp", [&] { return x.shape().str(); }, 3.0 * double(x.numel()),
        double(x.bytes() + lse.bytes()));
    dispatch_floating("logsumexp", x, [&]<class B, class T>() {
      kernels::softmax<B, T>(current_stream(), x.size(0), x.size(1), x.data<T>(), nullptr,
                             lse.output<T>());
    });
  }
  record(std::array{x}, std::array{lse}, [&] { return std::make_unique<LogSumExp>(x); });
  return lse;
}

}  // namespace ek::ops
