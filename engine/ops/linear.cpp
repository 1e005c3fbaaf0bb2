// Classifier layers: the fully connected one and the cosine one.
#include <array>

#include "engine/ops/common.h"
#include "kernels/elementwise.h"
#include "kernels/gemm.h"
#include "kernels/reduce.h"

namespace ek::ops {
namespace {

// Its inputs are x, weight and, where there is one, bias.
class Linear final : public Op {
 public:
  Linear(const Tensor& x, const Tensor& weight, bool bias) : x_(x), weight_(weight), bias_(bias) {}
  std::string_view name() const override { return "linear"; }

  Tensors vjp(const Tensors& ct, const Needs& needs) const override {
    Tensors out(bias_ ? 3 : 2);
    if (needs[0]) out[0] = matmul(ct[0], weight_.get());
    if (needs[1]) out[1] = matmul(ct[0], x_.get(), true, false);
    if (bias_ && needs[2]) {
      const std::int64_t features = ct[0].size(1);
      out[2] = reshape(sum_to(ct[0], {1, features}), {features});
    }
    return out;
  }

  Tensors jvp(const Tensors& t) const override {
    Tensor y;
    const Tensor& bias = bias_ ? t[2] : Tensor();
    if (t[0]) y = linear(t[0], weight_.get(), bias);
    if (t[1]) y = plus(y, linear(x_.get(), t[1], t[0] ? Tensor() : bias));
    if (!y) {
      const std::int64_t features = bias.size(0);
      y = broadcast_to(reshape(bias, {1, features}), {x_.get().size(0), features});
    }
    return {y};
  }

 private:
  Saved x_, weight_;
  bool bias_;
};

// Rows of x [n, width] divided by sqrt(|row|^2 + 1e-24).
Tensor normalized_rows(const Tensor& x) {
  Tensor squares = sum_to(square(x), {x.size(0), 1});
  return mul(x, broadcast_to(rsqrt(affine(squares, 1, 1e-24)), x.shape()));
}

void check(std::string_view op, const Tensor& x, const Tensor& weight) {
  require_floating(op, x, "x");
  require_rank(op, x, 2, "x");
  require_rank(op, weight, 2, "weight");
  require(x.dtype() == weight.dtype() && x.device() == weight.device(),
          "{}: x is {} on {}, weight is {} on {}", op, name_of(x.dtype()), x.device().str(),
          name_of(weight.dtype()), weight.device().str());
  require(x.size(1) == weight.size(1), "{}: x {} has {} features, weight {} wants {}", op,
          x.shape().str(), x.size(1), weight.shape().str(), weight.size(1));
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check("linear", x, weight);
  const std::int64_t rows = x.size(0), in = x.size(1), out = weight.size(0);
  if (bias) {
    require(bias.shape() == Shape{out} && bias.dtype() == x.dtype() && bias.device() == x.device(),
            "linear: bias is {} {} on {}, {} [{}] on {} is wanted", name_of(bias.dtype()),
            bias.shape().str(), bias.device().str(), name_of(x.dtype()), out, x.device().str());
  }
  Tensor y = empty_like(x, {rows, out});
  {
    ProfileScope scope(
        "linear", [&] { return fmt::format("{} x {} x {}", rows, out, in); },
        double(rows) * double(out) * (2.0 * double(in) + (bias ? 1 : 0)),
        double(x.bytes() + weight.bytes() + y.bytes()));
    dispatch_floating("linear", x, [&]<class B, class T>() {
      kernels::gemm<B, T>(current_stream(), {rows, out, in, false, true}, x.data<T>(),
                          weight.data<T>(), y.output<T>());
      if (!bias) return;
      const kernels::BroadcastShape shape{{1, 1, 1, 1, 1, out}, {1, 1, 1, 1, rows, out}};
      Tensor biases = empty_like(y);
      kernels::broadcast<B, T>(current_stream(), shape, bias.data<T>(), biases.output<T>());
      kernels::binary<B, T>(current_stream(), kernels::Binary::add, y.numel(), y.data<T>(),
                            biases.data<T>(), y.output<T>());
    });
  }
  Tensors inputs{x, weight};
  if (bias) inputs.push_back(bias);
  record(inputs, std::array{y},
         [&] { return std::make_unique<Linear>(x, weight, bias.defined()); });
  return y;
}

Tensor cosine_linear(const Tensor& x, const Tensor& weight, const Tensor& scale) {
  check("cosine_linear", x, weight);
  if (scale) {
    require(scale.numel() == 1 && scale.dtype() == x.dtype(),
            "cosine_linear: scale is {} {}, one element of {} is wanted", name_of(scale.dtype()),
            scale.shape().str(), name_of(x.dtype()));
    require_device("cosine_linear", x, scale, "scale");
  }
  Tensor cosines = matmul(normalized_rows(x), normalized_rows(weight), false, true);
  if (!scale) return cosines;
  return mul(cosines, broadcast_to(reshape(scale, {1, 1}), cosines.shape()));
}

}  // namespace ek::ops
