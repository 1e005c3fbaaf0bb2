// Matrix product with optional transposes: bilinear, so every rule is a product again.
#include <array>

#include "engine/ops/common.h"
#include "kernels/gemm.h"

namespace ek::ops {
namespace {

// c = op(a) op(b) with op(a)^T = op'(a), so  d op(a) = ct op(b)^T  and  d op(b) = op(a)^T ct;
// where a came in transposed, its cotangent is the transpose of that: op(b) ct^T.
class Matmul final : public Op {
 public:
  Matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b)
      : a_(a), b_(b), transpose_a_(transpose_a), transpose_b_(transpose_b) {}
  std::string_view name() const override { return "matmul"; }

  Tensors vjp(const Tensors& ct, const Needs& needs) const override {
    Tensor da, db;
    if (needs[0]) {
      da = transpose_a_ ? matmul(b_.get(), ct[0], transpose_b_, true)
                        : matmul(ct[0], b_.get(), false, !transpose_b_);
    }
    if (needs[1]) {
      db = transpose_b_ ? matmul(ct[0], a_.get(), true, transpose_a_)
                        : matmul(a_.get(), ct[0], !transpose_a_, false);
    }
    return {da, db};
  }

  Tensors jvp(const Tensors& t) const override {
    return {plus(t[0] ? matmul(t[0], b_.get(), transpose_a_, transpose_b_) : Tensor(),
                 t[1] ? matmul(a_.get(), t[1], transpose_a_, transpose_b_) : Tensor())};
  }

 private:
  Saved a_, b_;
  bool transpose_a_, transpose_b_;
};

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b) {
  require_floating("matmul", a, "a");
  require_rank("matmul", a, 2, "a");
  require_rank("matmul", b, 2, "b");
  require(a.dtype() == b.dtype() && a.device() == b.device(),
          "matmul: a is {} on {}, b is {} on {}", name_of(a.dtype()), a.device().str(),
          name_of(b.dtype()), b.device().str());
  const kernels::GemmShape shape{a.size(transpose_a ? 1 : 0), b.size(transpose_b ? 0 : 1),
                                 a.size(transpose_a ? 0 : 1), transpose_a, transpose_b};
  require(b.size(transpose_b ? 1 : 0) == shape.k,
          "matmul: inner extents differ, a {}{} times b {}{}", a.shape().str(),
          transpose_a ? " transposed" : "", b.shape().str(), transpose_b ? " transposed" : "");
  Tensor c = empty_like(a, {shape.m, shape.n});
  {
    ProfileScope scope(
        "matmul", [&] { return fmt::format("{} x {} x {}", shape.m, shape.n, shape.k); },
        2.0 * double(shape.m) * double(shape.n) * double(shape.k),
        double(a.bytes() + b.bytes() + c.bytes()));
    dispatch_floating("matmul", a, [&]<class B, class T>() {
      kernels::gemm<B, T>(current_stream(), shape, a.data<T>(), b.data<T>(), c.output<T>());
    });
  }
  record(std::array{a, b}, std::array{c},
         [&] { return std::make_unique<Matmul>(a, b, transpose_a, transpose_b); });
  return c;
}

}  // namespace ek::ops
