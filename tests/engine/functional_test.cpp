#include "engine/autodiff/functional.h"

#include <cmath>

#include "engine/memory/allocator.h"
#include "engine/ops.h"
#include "tests/catch.h"
#include "tests/engine/gradcheck.h"
#include "tests/error_of.h"

using ek::Differentiable;
using ek::DType;
using ek::Params;
using ek::Shape;
using ek::Tensor;
using ek::Tensors;
namespace ops = ek::ops;

namespace {

// Between two exact evaluations of a small function.
constexpr double exact = 1e-13;

Tensor scalar(double value) {
  return Tensor::full({}, value, DType::float64);
}

Params params(const Tensor& x) {
  return Params({{"x", x}});
}

// A network of two layers with a loss: curved everywhere.
struct Mlp {
  Tensor x = random_tensor({6, 4}, 1);
  Tensor labels = index_tensor({0, 1, 2, 2, 1, 0});
  Params start{{{"w1", random_tensor({5, 4}, 2, 0.5)},
                {"b1", random_tensor({5}, 3, 0.5)},
                {"w2", random_tensor({3, 5}, 4, 0.5)},
                {"b2", random_tensor({3}, 5, 0.5)}}};

  Tensor loss(const Params& p) const {
    Tensor hidden = ops::sigmoid(ops::linear(x, p["w1"], p["b1"]));
    Tensor logits = ops::linear(hidden, p["w2"], p["b2"]);
    return ops::mean(ops::softmax_cross_entropy(logits, labels));
  }
  auto function() const {
    return [this](const Params& p) { return loss(p); };
  }
};

Params random_like(const Params& p, std::uint64_t seed) {
  Tensors out;
  for (const auto& [name, tensor] : p) out.push_back(random_tensor(tensor.shape(), ++seed));
  return p.with(out);
}

double distance(const Params& a, const Params& b) {
  double most = 0;
  for (const auto& [name, tensor] : a) {
    const double error = relative_error(tensor, b[name]);
    if (!(error <= most)) most = error;
    if (std::isnan(most)) break;
  }
  return most;
}

}  // namespace

TEST_CASE("grad and value_and_grad of a quadratic") {
  Tensor x = Tensor::from(std::vector<double>{1, -2, 3}, {3});
  auto f = [](const Params& p) { return ops::sum(ops::square(p["x"])); };
  CHECK(ek::grad(f, params(x))["x"].to_vector() == std::vector<double>{2, -4, 6});
  auto [value, gradient] = ek::value_and_grad(f, params(x));
  CHECK(value.item() == 14);
  CHECK(gradient["x"].to_vector() == std::vector<double>{2, -4, 6});
}

TEST_CASE("auxiliary outputs are handed through") {
  Tensor x = Tensor::from(std::vector<double>{1, 2}, {2});
  auto f = [](const Params& p) {
    Tensor y = ops::square(p["x"]);
    return std::pair(ops::sum(y), y);
  };
  auto [value, gradient, aux] = ek::value_and_grad(f, params(x));
  CHECK(value.item() == 5);
  CHECK(gradient["x"].to_vector() == std::vector<double>{2, 4});
  CHECK(aux.to_vector() == std::vector<double>{1, 4});
  auto lin = ek::linearize(f, params(x));
  CHECK(lin.aux().to_vector() == std::vector<double>{1, 4});
  CHECK(ek::grad(f, params(x))["x"].to_vector() == std::vector<double>{2, 4});
}

TEST_CASE("vjp and jvp of an elementwise function") {
  Tensor x = Tensor::from(std::vector<double>{1, 2, 4}, {3});
  Tensor d = Tensor::from(std::vector<double>{1, 10, 100}, {3});
  auto f = [](const Params& p) { return ops::square(p["x"]); };
  auto [value, back] = ek::vjp(f, params(x), d);
  CHECK(value.to_vector() == std::vector<double>{1, 4, 16});
  CHECK(back["x"].to_vector() == std::vector<double>{2, 40, 800});
  auto [same, forward] = ek::jvp(f, params(x), params(d));
  CHECK(same.to_vector() == value.to_vector());
  CHECK(forward.to_vector() == std::vector<double>{2, 40, 800});
}

TEST_CASE("hvp of a quadratic form is its matrix times v") {
  Tensor a = random_tensor({4, 4}, 1), x = random_tensor({4}, 2), v = random_tensor({4}, 3);
  Tensor symmetric = ops::add(
      a,
      ops::matmul(
          a,
          Tensor::from(std::vector<double>{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}, {4, 4}),
          true));
  auto f = [&](const Params& p) {
    Tensor row = ops::reshape(p["x"], {1, 4});
    return ops::affine(ops::sum(ops::mul(row, ops::matmul(row, symmetric))), 0.5);
  };
  Tensor expected = ops::reshape(ops::matmul(symmetric, ops::reshape(v, {4, 1})), {4});
  CHECK(relative_error(ek::hvp(f, params(x), params(v))["x"], expected) <= exact);
}

TEST_CASE("derivatives of a small network") {
  Mlp mlp;
  auto f = [&](const Tensors& in) { return Tensors{mlp.loss(mlp.start.with(in))}; };
  check_gradients("mlp", f, mlp.start.tensors());

  // hvp against a finite difference of the gradient (error of order step^2)
  const double step = 1e-5;
  Params v = random_like(mlp.start, 50);
  Params up = ek::grad(mlp.function(), ek::add_scaled(mlp.start, step, v));
  Params down = ek::grad(mlp.function(), ek::add_scaled(mlp.start, -step, v));
  Tensors difference;
  for (const auto& [name, tensor] : up) {
    difference.push_back(ops::affine(ops::sub(tensor, down[name]), 0.5 / step));
  }
  CHECK(distance(ek::hvp(mlp.function(), mlp.start, v), mlp.start.with(difference)) <= 1e-7);
}

TEST_CASE("the gradient of <grad f, v> is the hvp, whichever directions are nested") {
  Mlp mlp;
  Params v = random_like(mlp.start, 60);
  Params forward_over_reverse = ek::hvp(mlp.function(), mlp.start, v);
  auto slope = [&](const Params& p) {
    Params g = ek::grad(mlp.function(), p);
    Tensor sum;
    for (const auto& [name, tensor] : g) {
      Tensor term = ops::sum(ops::mul(tensor, v[name]));
      sum = sum ? ops::add(sum, term) : term;
    }
    return sum;
  };
  CHECK(distance(ek::grad(slope, mlp.start), forward_over_reverse) <= 1e-12);
  auto tangent = [&](const Params& p) { return ek::jvp(mlp.function(), p, v).second; };
  CHECK(distance(ek::grad(tangent, mlp.start), forward_over_reverse) <= 1e-12);
}

TEST_CASE("a bilevel gradient through a virtual step equals its finite difference") {
  Mlp train, meta;
  meta.x = random_tensor({6, 4}, 9);
  auto outer = [&](const Params& p) {
    return meta.loss(ek::add_scaled(p, -0.5, ek::grad(train.function(), p)));
  };
  auto f = [&](const Tensors& in) { return Tensors{outer(train.start.with(in))}; };
  GradcheckOptions options;
  options.second_order = false;
  check_gradients("virtual step", f, train.start.tensors(), options);
}

TEST_CASE("third derivatives, every nesting of forward and reverse") {
  using Function = std::function<Tensor(const Tensor&)>;
  // Elementwise f: both give f'.
  auto reverse = [](const Function& f) -> Function {
    return [f](const Tensor& x) {
      auto run = [&](const Params& p) { return f(p["x"]); };
      return ek::vjp(run, params(x), Tensor::full(x.shape(), 1, x.dtype())).second["x"];
    };
  };
  auto forward = [](const Function& f) -> Function {
    return [f](const Tensor& x) {
      auto run = [&](const Params& p) { return f(p["x"]); };
      return ek::jvp(run, params(x), params(Tensor::full(x.shape(), 1, x.dtype()))).second;
    };
  };
  Tensor x = random_tensor({5}, 8);
  std::vector<double> exp_expected, sigmoid_expected;
  for (double value : x.to_vector()) {
    const double s = 1 / (1 + std::exp(-value));
    exp_expected.push_back(std::exp(value));
    sigmoid_expected.push_back(s * (1 - s) * (1 - 6 * s + 6 * s * s));
  }
  for (int order = 0; order < 8; ++order) {
    INFO("nesting " << order);
    Function f = [](const Tensor& t) { return ops::exp(t); };
    Function g = [](const Tensor& t) { return ops::sigmoid(t); };
    for (int level = 0; level < 3; ++level) {
      const bool back = order >> level & 1;
      f = back ? reverse(f) : forward(f);
      g = back ? reverse(g) : forward(g);
    }
    CHECK(relative_error(f(x), Tensor::from(exp_expected, {5})) <= exact);
    CHECK(relative_error(g(x), Tensor::from(sigmoid_expected, {5})) <= exact);
  }
}

TEST_CASE("closed-over tensors are constants, even the very tensor that is differentiated") {
  Tensor x = scalar(3);
  auto f = [&](const Params& p) { return ops::mul(p["x"], x); };
  CHECK(ek::grad(f, params(x))["x"].item() == 3);
  auto constant = [&](const Params&) { return ops::square(x); };
  CHECK(ek::grad(constant, params(x))["x"].item() == 0);
}

TEST_CASE("nested derivatives do not confuse their perturbations") {
  // d/dx [x d/dy (x + y)] = 1
  auto sum = [](const Params& outer) {
    auto inner = [&](const Params& p) { return ops::add(outer["x"], p["x"]); };
    return ops::mul(outer["x"], ek::grad(inner, params(scalar(1)))["x"]);
  };
  CHECK(ek::grad(sum, params(scalar(1)))["x"].item() == 1);
  CHECK(ek::jvp(sum, params(scalar(1)), params(scalar(1))).second.item() == 1);

  // the inner variable is the outer one: x d/dy (x y^2) at y = x is 2 x^3
  auto cube = [](const Params& outer) {
    auto inner = [&](const Params& p) { return ops::mul(outer["x"], ops::square(p["x"])); };
    return ops::mul(outer["x"], ek::grad(inner, outer)["x"]);
  };
  CHECK(cube(params(scalar(3))).item() == 54);
  CHECK(ek::grad(cube, params(scalar(3)))["x"].item() == 54);
  CHECK(ek::jvp(cube, params(scalar(3)), params(scalar(1))).second.item() == 54);
  // and with the inner derivative taken forward
  auto cube_forward = [](const Params& outer) {
    auto inner = [&](const Params& p) { return ops::mul(outer["x"], ops::square(p["x"])); };
    return ops::mul(outer["x"], ek::jvp(inner, outer, params(scalar(1))).second);
  };
  CHECK(ek::grad(cube_forward, params(scalar(3)))["x"].item() == 54);
  CHECK(ek::jvp(cube_forward, params(scalar(3)), params(scalar(1))).second.item() == 54);
}

TEST_CASE("outputs that are inputs or constants") {
  Tensor x = random_tensor({3}, 1), c = random_tensor({3}, 2), d = random_tensor({3}, 3);
  ek::LinearMap map = ek::linearize_tensors(
      [&](const Tensors& in) {
        return Tensors{in[0], c, in[0]};
      },
      {x, c});
  Tensors back = map.vjp({d, d, {}});
  CHECK(back[0].to_vector() == d.to_vector());
  CHECK(back[1].to_vector() == std::vector<double>{0, 0, 0});
  Tensors forward = map.jvp({d, {}});
  CHECK(forward[0].to_vector() == d.to_vector());
  CHECK(forward[1].to_vector() == std::vector<double>{0, 0, 0});
  CHECK(forward[2].to_vector() == d.to_vector());
}

TEST_CASE("a linearisation can be applied many times, and both ways agree") {
  Tensor x = random_tensor({4}, 1), ct = random_tensor({4}, 2);
  auto lin = ek::linearize([](const Params& p) { return ops::exp(p["x"]); }, params(x));
  std::vector<double> first = lin.vjp(ct)["x"].to_vector();
  CHECK(lin.vjp(ct)["x"].to_vector() == first);
  CHECK(lin.jvp(params(ct)).to_vector() == first);
  CHECK(lin.node_count() == 1);
}

TEST_CASE("a consuming call frees each saved tensor after its use, and refuses any later use") {
  const std::int64_t count = 1 << 16, bytes = 8 * count;
  const int depth = 8;
  Tensor x = Tensor::full({count}, 0.1, DType::float64);
  auto f = [&](const Params& p) {
    Tensor y = p["x"];
    for (int i = 0; i < depth; ++i) y = ops::sigmoid(y);
    return y;
  };
  Tensor ct = Tensor::full({count}, 1, DType::float64);
  const std::int64_t before = ek::memory_stats().live_total_bytes;
  auto lin = ek::linearize(f, params(x));
  CHECK(ek::memory_stats().live_total_bytes - before >= depth * bytes);
  ek::reset_memory_peak();
  Params gradient = std::move(lin).vjp(ct);
  // While it ran: the depth saved outputs, of which ever fewer are left, and a few temporaries.
  CHECK(ek::memory_stats().peak_total_bytes - before <= (depth + 6) * bytes);
  // After it: the value (which lin still holds) and the gradient.
  CHECK(ek::memory_stats().live_total_bytes - before <= 2 * bytes + 4096);
  CHECK(lin.node_count() == 0);
  CHECK(error_of([&] { lin.vjp(ct); }) ==
        "vjp: this linearisation was consumed by an earlier call");
  CHECK(error_of([&] { lin.jvp(params(ct)); }) ==
        "jvp: this linearisation was consumed by an earlier call");
  CHECK(error_of([&] { std::move(lin).vjp(ct); }) ==
        "vjp: this linearisation was consumed by an earlier call");
}

TEST_CASE("Differentiable::no is refused where an enclosing tape differentiates through it") {
  Tensor x = scalar(2), one = scalar(1);
  auto through_inputs = [&](Differentiable d) {
    return [&, d](const Params& outer) {
      auto lin = ek::linearize([](const Params& p) { return ops::exp(p["x"]); }, outer);
      return lin.vjp(one, d)["x"];
    };
  };
  CHECK(error_of([&] { ek::grad(through_inputs(Differentiable::no), params(x)); }) ==
        "exp: an enclosing tape differentiates through this derivative, and Differentiable::no "
        "would cut its path; pass Differentiable::yes");
  CHECK(std::abs(ek::grad(through_inputs(Differentiable::yes), params(x))["x"].item() -
                 std::exp(2)) <= exact * std::exp(2));

  // the path may also come in through the cotangent or the tangent alone
  auto lin = ek::linearize([](const Params& p) { return ops::exp(p["x"]); }, params(x));
  auto by_cotangent = [&](const Params& p) { return lin.vjp(p["x"])["x"]; };
  auto by_tangent = [&](const Params& p) { return lin.jvp(p); };
  CHECK_THROWS_AS(ek::grad(by_cotangent, params(one)), ek::Error);
  CHECK_THROWS_AS(ek::grad(by_tangent, params(one)), ek::Error);
  auto recorded = [&](const Params& p) { return lin.jvp(p, Differentiable::yes); };
  CHECK(std::abs(ek::grad(recorded, params(one))["x"].item() - std::exp(2)) <= exact * std::exp(2));

  // a constant of the enclosing tape is nothing to cut
  auto constant = [&](const Params& p) { return ops::mul(p["x"], lin.vjp(one)["x"]); };
  CHECK(std::abs(ek::grad(constant, params(x))["x"].item() - std::exp(2)) <= exact * std::exp(2));
}

TEST_CASE("a saved tensor cannot be written in place while a tape holds it") {
  Tensor x = random_tensor({3}, 1), ct = Tensor::full({3}, 1, DType::float64);
  {
    auto lin = ek::linearize([](const Params& p) { return ops::square(p["x"]); }, params(x));
    CHECK(
        error_of([&] { x.mutable_data<double>("sgd"); }) ==
        "sgd: a tensor of shape [3] cannot be written in place, a tape holds 1 saved views of its "
        "old contents");
    std::move(lin).vjp(ct);
    x.mutable_data<double>("sgd")[0] = 5;  // released by the consuming call
  }
  auto lin = ek::linearize([](const Params& p) { return ops::square(p["x"]); }, params(x));
  ++x.storage()->version;  // as a write past the guard would leave it
  CHECK(error_of([&] { lin.vjp(ct); }) ==
        "tape: a saved tensor of shape [3] was written in place since (version 2, saved at 1)");
}

TEST_CASE("wrong directions and functions are refused with shapes") {
  Tensor x = random_tensor({3}, 1);
  auto f = [](const Params& p) { return ops::exp(p["x"]); };
  CHECK(error_of([&] { ek::grad(f, params(x)); }) ==
        "grad: the function must return one element, shape [3] came");
  auto lin = ek::linearize(f, params(x));
  CHECK(error_of([&] { lin.vjp(random_tensor({2}, 1)); }) ==
        "vjp: a float64 of shape [3] was expected, float64 of shape [2] came");
  CHECK(error_of([&] { lin.vjp(random_tensor({3}, 1).to(DType::float32)); }) ==
        "vjp: a float64 of shape [3] was expected, float32 of shape [3] came");
  CHECK(error_of([&] {
          ek::linearize_tensors([](const Tensors&) { return Tensors{Tensor()}; }, {x});
        }) == "linearize: the function returned an undefined tensor");
}

TEST_CASE("float32 obeys <ct, J v> = <J^T ct, v>") {
  Mlp mlp;
  Params start = mlp.start.to(DType::float32);
  Tensor x = mlp.x.to(DType::float32);
  auto f = [&](const Params& p) {
    Tensor hidden = ops::relu(ops::linear(x, p["w1"], p["b1"]));
    return ops::softmax_cross_entropy(ops::linear(hidden, p["w2"], p["b2"]), mlp.labels);
  };
  auto lin = ek::linearize(f, start);
  Params v = random_like(mlp.start, 70).to(DType::float32);
  Tensor ct = random_tensor({6}, 80).to(DType::float32);
  Tensor jv = lin.jvp(v);
  const double forward = ek::dot(params(ct), params(jv)), reverse = ek::dot(lin.vjp(ct), v);
  // sums of about a hundred products of order one, each good to 6e-8
  CHECK(std::abs(forward - reverse) <= 1e-5);
  CHECK(std::abs(forward) > 1e-2);
}
