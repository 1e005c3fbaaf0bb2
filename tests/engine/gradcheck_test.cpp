// The gradient check itself: right ops pass, and each kind of wrong rule is found by name.
#include "tests/engine/gradcheck.h"

#include <array>
#include <cmath>

#include "engine/ops.h"
#include "tests/catch.h"

using ek::Tensor;
using ek::Tensors;
namespace ops = ek::ops;

namespace {

enum class Fault { none, vjp, jvp, second_order, composition, not_a_number };

// y = x^3 with a fault of choice.
class Cube final : public ek::Op {
 public:
  Cube(const Tensor& x, Fault fault) : x_(x), fault_(fault) {}
  std::string_view name() const override { return "cube"; }
  Tensors vjp(const Tensors& ct, const ek::Needs&) const override {
    return {apply(ct[0], fault_ == Fault::vjp ? 2.5 : 3)};
  }
  Tensors jvp(const Tensors& t) const override {
    return {apply(t[0], fault_ == Fault::jvp ? 2.5 : 3)};
  }
  bool fused() const override { return fault_ == Fault::composition; }
  Tensors inputs() const override { return {x_.get()}; }
  Tensors compose(const Tensors& in) const override {
    return {ops::affine(ops::mul(in[0], ops::square(in[0])), 1.001)};
  }

 private:
  Tensor apply(const Tensor& d, double factor) const {
    Tensor x = x_.get();
    if (fault_ == Fault::second_order) x = ops::stop_gradient(x);  // a rule that cuts its path
    if (fault_ == Fault::not_a_number) factor = NAN;
    return ops::mul(d, ops::affine(ops::square(x), factor));
  }
  ek::Saved x_;
  Fault fault_;
};

ek::TensorFunction cube(Fault fault) {
  return [fault](const Tensors& in) {
    std::vector<double> values = in[0].to_vector();
    for (double& value : values) value = value * value * value;
    Tensor y = Tensor::from(values, in[0].shape());
    ek::record(std::array{in[0]}, std::array{y},
               [&] { return std::make_unique<Cube>(in[0], fault); });
    return Tensors{y};
  };
}

bool found(Fault fault, std::string_view check) {
  for (const std::string& error : gradient_errors("cube", cube(fault), {random_tensor({5}, 1)})) {
    if (error.starts_with("cube: " + std::string(check))) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("gradcheck passes a right op") {
  check_gradients("cube", cube(Fault::none), {random_tensor({5}, 1)});
}

TEST_CASE("gradcheck finds wrong rules by the check that they break") {
  CHECK(found(Fault::vjp, "adjoint"));
  CHECK(found(Fault::vjp, "reverse over reverse"));
  CHECK(found(Fault::jvp, "jvp against finite differences"));
  CHECK(found(Fault::jvp, "adjoint"));
  CHECK(found(Fault::second_order, "reverse over reverse"));
  CHECK(found(Fault::second_order, "forward over reverse"));
  CHECK(found(Fault::second_order, "forward over forward"));
  CHECK_FALSE(found(Fault::second_order, "adjoint"));
  CHECK(found(Fault::composition, "recorded vjp against vjp"));
  CHECK(found(Fault::composition, "recorded jvp against jvp"));
  CHECK(found(Fault::not_a_number, "jvp against finite differences"));
  CHECK(found(Fault::not_a_number, "adjoint"));
}

TEST_CASE("gradcheck leaves constants alone and refuses float32") {
  auto f = [](const Tensors& in) { return Tensors{ops::mul(in[0], in[1])}; };
  GradcheckOptions options;
  options.differentiable = {true, false};
  check_gradients("mul", f, {random_tensor({4}, 1), random_tensor({4}, 2)}, options);
  Tensor narrow = random_tensor({4}, 1).to(ek::DType::float32);
  CHECK_THROWS_AS(gradient_errors("mul", f, {narrow, narrow}), ek::Error);
}

TEST_CASE("relative_error lets no NaN through") {
  Tensor a = Tensor::from(std::vector<double>{1, 2}, {2});
  Tensor b = Tensor::from(std::vector<double>{1, NAN}, {2});
  CHECK(relative_error(a, a) == 0);
  CHECK(std::isnan(relative_error(a, b)));
}
