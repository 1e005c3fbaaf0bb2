// Ops on bfloat16 activations: the two directions of a linearisation are adjoint, values and
// derivatives are those of float64 up to rounding, and the dtypes are the promised ones.
#include <array>
#include <cmath>

#include "engine/autodiff/functional.h"
#include "engine/ops.h"
#include "tests/catch.h"
#include "tests/engine/gradcheck.h"
#include "tests/error_of.h"
#include "tests/tensor_numbers.h"

namespace {

using ek::accumulation_dtype;
using ek::DType;
using ek::Shape;
using ek::Tensor;
using ek::TensorFunction;
using ek::Tensors;
namespace ops = ek::ops;

// One rounding to bfloat16 is off by at most 2^-9 of the value.
constexpr double unit = 0x1p-9;

Tensor half(const Shape& shape, std::uint64_t seed) {
  return random_tensor(shape, seed, 1, 0, DType::bfloat16);
}
Tensor single(const Shape& shape, std::uint64_t seed, double scale = 1, double shift = 0) {
  return random_tensor(shape, seed, scale, shift, DType::float32);
}

Tensors random_like(const Tensors& like, std::uint64_t seed) {
  Tensors out;
  for (const Tensor& t : like) out.push_back(random_tensor(t.shape(), ++seed, 1, 0, t.dtype()));
  return out;
}

Tensors to(const Tensors& tensors, DType dtype) {
  Tensors out;
  for (const Tensor& t : tensors) out.push_back(t.to(dtype));
  return out;
}

// `roundings`: how often a value on the way of either direction is rounded to bfloat16. Each moves
// one term of an inner product by 2^-9 of its size, so the two products differ by no more than
// their sum over all terms, whatever the signs.
void check_bf16(const char* name, const TensorFunction& f, const Tensors& inputs, int roundings) {
  INFO(name);
  const ek::LinearMap map = ek::linearize_tensors(f, inputs);
  const Tensors v = random_like(inputs, 100), ct = random_like(map.outputs(), 200);
  const Tensors jv = map.jvp(v), vjp = map.vjp(ct);
  for (std::size_t i = 0; i < jv.size(); ++i) CHECK(jv[i].dtype() == map.outputs()[i].dtype());
  for (std::size_t i = 0; i < vjp.size(); ++i) CHECK(vjp[i].dtype() == inputs[i].dtype());

  const auto [forward, forward_size] = inner(ct, jv);
  const auto [reverse, reverse_size] = inner(vjp, v);
  INFO("<ct, J v> = " << forward << ", <J^T ct, v> = " << reverse << ", terms " << forward_size);
  REQUIRE(std::abs(forward - reverse) <= roundings * unit * (forward_size + reverse_size));

  // Against float64, tensor by tensor. Norms: rounding errors are as good as independent.
  const ek::LinearMap exact = ek::linearize_tensors(f, to(inputs, DType::float64));
  const Tensors exact_jv = exact.jvp(to(v, DType::float64));
  const Tensors exact_vjp = exact.vjp(to(ct, DType::float64));
  for (std::size_t i = 0; i < jv.size(); ++i) {
    INFO("output " << i);
    CHECK(norm_error(map.outputs()[i], exact.outputs()[i]) <= roundings * 2 * unit);
    CHECK(norm_error(jv[i], exact_jv[i]) <= roundings * 2 * unit);
  }
  for (std::size_t i = 0; i < vjp.size(); ++i) {
    INFO("input " << i);
    CHECK(norm_error(vjp[i], exact_vjp[i]) <= roundings * 2 * unit);
  }
}

}  // namespace

TEST_CASE("bf16 ops are adjoint and near float64: sums, masks, views, casts", "[bf16]") {
  const Tensor a = half({5, 7}, 1), b = half({5, 7}, 2);
  check_bf16(
      "add", [](const Tensors& in) { return Tensors{ops::add(in[0], in[1])}; }, {a, b}, 1);
  check_bf16(
      "gate", [&](const Tensors& in) { return Tensors{ops::gate(in[0], b.to(in[0].dtype()))}; },
      {a}, 1);
  check_bf16(
      "reshape",
      [](const Tensors& in) {
        return Tensors{ops::alias(ops::reshape(in[0], {7, 5}))};
      },
      {a}, 0);
  // Twice the same input: its cotangents are added on the way back.
  check_bf16(
      "a + a", [](const Tensors& in) { return Tensors{ops::add(in[0], in[0])}; }, {a}, 1);
  for (DType wide : {DType::float32, DType::float64}) {
    check_bf16(
        "cast up",
        [&](const Tensors& in) {
          return Tensors{in[0].dtype() == DType::float64 ? ops::alias(in[0])
                                                         : ops::cast(in[0], wide)};
        },
        {a}, 1);
  }
  check_bf16(
      "cast down",
      [](const Tensors& in) {
        return Tensors{in[0].dtype() == DType::float64 ? ops::alias(in[0])
                                                       : ops::cast(in[0], DType::bfloat16)};
      },
      {single({5, 7}, 3)}, 1);
}

TEST_CASE("bf16 ops are adjoint and near float64: convolution", "[bf16]") {
  const ops::Conv2dOptions options{.stride = {2, 2}, .padding = {1, 1}};
  const Tensor x = half({2, 6, 6, 16}, 1), dy = half({2, 3, 3, 16}, 3);
  const Tensor w = single({16, 3, 3, 16}, 2, 0.1);
  // The weight is rounded for the kernel, and so is the result.
  check_bf16(
      "conv2d", [&](const Tensors& in) { return Tensors{ops::conv2d(in[0], in[1], options)}; },
      {x, w}, 2);
  check_bf16(
      "conv2d_backward_data",
      [&](const Tensors& in) {
        return Tensors{ops::conv2d_backward_data(in[0], in[1], x.shape(), options)};
      },
      {dy, w}, 2);
  check_bf16(
      "conv2d_backward_weights",
      [&](const Tensors& in) {
        return Tensors{ops::conv2d_backward_weights(in[0], in[1], w.shape(), options)};
      },
      {x, dy}, 2);
}

TEST_CASE("bf16 ops are adjoint and near float64: normalisation and pools", "[bf16]") {
  const Tensor y = half({3, 4, 4, 8}, 1), shortcut = half({3, 4, 4, 8}, 2);
  const Tensor mean = single({8}, 3, 0.1), var = single({8}, 4, 0.1, 1);
  const Tensor gamma = single({8}, 5, 0.2, 1), beta = single({8}, 6, 0.2);
  check_bf16(
      "channel_stats",
      [](const Tensors& in) {
        const ops::ChannelStats stats = ops::channel_stats(in[0]);
        return Tensors{stats.mean, stats.var};
      },
      {y}, 1);
  // Without ReLU: at float64 a mask would differ where rounding moves a value across zero.
  check_bf16(
      "norm_act",
      [](const Tensors& in) {
        return Tensors{ops::norm_act(in[0], {in[1], in[2]}, in[3], in[4], in[5], {})};
      },
      {y, mean, var, gamma, beta, shortcut}, 2);
  check_bf16(
      "norm_act without shortcut",
      [](const Tensors& in) {
        return Tensors{ops::norm_act(in[0], {in[1], in[2]}, in[3], in[4], {}, {})};
      },
      {y, mean, var, gamma, beta}, 2);
  check_bf16(
      "batch_norm",
      [](const Tensors& in) { return Tensors{ops::batch_norm(in[0], in[1], in[2], {}, {})}; },
      {y, gamma, beta}, 3);
  check_bf16(
      "global_avg_pool", [](const Tensors& in) { return Tensors{ops::global_avg_pool(in[0])}; },
      {y}, 1);
  check_bf16(
      "subsample_pad", [](const Tensors& in) { return Tensors{ops::subsample_pad(in[0], 12, 2)}; },
      {y}, 0);
}

TEST_CASE("bf16: with ReLU the two directions share the mask of the stored activation", "[bf16]") {
  const Tensors in{half({3, 4, 4, 8}, 1), single({8}, 5, 0.2, 1), single({8}, 6, 0.2),
                   half({3, 4, 4, 8}, 2)};
  const auto f = [](const Tensors& x) {
    return Tensors{ops::batch_norm(x[0], x[1], x[2], x[3], {1e-5, true})};
  };
  const ek::LinearMap map = ek::linearize_tensors(f, in);
  const Tensors v = random_like(in, 7), ct = random_like(map.outputs(), 8);
  const auto [forward, size] = inner(ct, map.jvp(v));
  const auto [reverse, reverse_size] = inner(map.vjp(ct), v);
  REQUIRE(std::abs(forward - reverse) <= 3 * unit * (size + reverse_size));
}

TEST_CASE("bf16: fused ops agree with their composition, to second order", "[bf16]") {
  const Tensors in{half({3, 4, 4, 8}, 1), single({8}, 5, 0.2, 1), single({8}, 6, 0.2),
                   half({3, 4, 4, 8}, 2)};
  const auto f = [](const Tensors& x) {
    return Tensors{ops::batch_norm(x[0], x[1], x[2], x[3], {1e-5, true})};
  };
  // The gradient of <ct, f> as a function of x, recorded: it runs the composition.
  const Tensors ct{half({3, 4, 4, 8}, 9)};
  const auto gradient = [&](const Tensors& x) {
    return ek::linearize_tensors(f, x).vjp(ct, ek::Differentiable::yes);
  };
  const ek::LinearMap second = ek::linearize_tensors(gradient, in);
  const Tensors fast = ek::linearize_tensors(f, in).vjp(ct);
  for (std::size_t i = 0; i < in.size(); ++i) {
    INFO("input " << i);
    CHECK(second.outputs()[i].dtype() == in[i].dtype());
    // The two sum what arrives at y and round it in another order.
    CHECK(norm_error(second.outputs()[i], fast[i]) <= 4 * unit);
  }
  // The Hessian is symmetric: <u, H v> = <v, H u>, both from the composition's derivatives.
  const Tensors u = random_like(in, 10), v = random_like(in, 20);
  const auto [uhv, size] = inner(u, second.jvp(v));
  const auto [vhu, other] = inner(v, second.jvp(u));
  const auto [transposed, third] = inner(second.vjp(u), v);
  INFO(uhv << " " << vhu << " " << transposed << " of " << size);
  REQUIRE(std::abs(uhv) > 1e-3 * size);
  REQUIRE(std::abs(uhv - vhu) <= 4 * unit * (size + other));
  REQUIRE(std::abs(uhv - transposed) <= 4 * unit * (size + third));
}

TEST_CASE("bf16: what does not arrive is a zero of the right dtype", "[bf16]") {
  const Tensor x = half({2, 2, 2, 3}, 1), w = single({4}, 2);
  const auto f = [](const Tensors& in) {
    return Tensors{ops::global_avg_pool(in[0]), ops::alias(in[0])};
  };
  const ek::LinearMap map = ek::linearize_tensors(f, {x, w});
  const Tensors gradients = map.vjp({Tensor(), Tensor()});
  CHECK(gradients[0].dtype() == DType::bfloat16);
  CHECK(gradients[1].dtype() == DType::float32);
  for (const Tensor& g : gradients) {
    for (double value : g.to_vector()) CHECK(value == 0);
  }
  const Tensors tangents = map.jvp({Tensor(), w});
  CHECK(tangents[0].dtype() == DType::float32);
  CHECK(tangents[1].dtype() == DType::bfloat16);
  // Directions of another dtype are refused, with both named.
  CHECK(error_of([&] {
          map.vjp({half({2, 3}, 3), Tensor()});
        }) == "vjp: a float32 of shape [2, 3] was expected, bfloat16 of shape [2, 3] came");
}

TEST_CASE("bf16: tensors are filled, read and copied", "[bf16]") {
  const Tensor third = Tensor::full({2, 3}, 1.0 / 3, DType::bfloat16);
  CHECK(third.to_vector() ==
        std::vector<double>(6, 0.333984375));  // 171/512, the nearest of 8 bits
  CHECK(Tensor::full({}, 3, DType::bfloat16).item() == 3);
  CHECK(Tensor::zeros({2}, DType::bfloat16).to_vector() == std::vector<double>(2, 0.0));
  const Tensor copy = third.clone();
  CHECK(copy.dtype() == DType::bfloat16);
  CHECK(copy.to_vector() == third.to_vector());
  CHECK(third.to(DType::float64).to(DType::bfloat16).to_vector() == third.to_vector());
}

TEST_CASE("bf16: what is refused, with the dtypes named", "[bf16]") {
  const Tensor x = half({2, 3}, 1), y = half({2, 2, 2, 4}, 2);
  const Tensor c = single({4}, 3), h = half({4}, 4);
  for (const auto& [name, op] :
       {std::pair{"sub", &ops::sub}, {"mul", &ops::mul}, {"div", &ops::div}}) {
    CHECK(contains(error_of([&, f = op] { f(x, x); }),
                   fmt::format("{}: dtype bfloat16 is not supported", name)));
  }
  CHECK(contains(error_of([&] { ops::softmax(x); }), "dtype bfloat16 is not supported"));
  CHECK(error_of([&] {
          ops::norm_act(y, {c, c}, h, c, {}, {});
        }) ==
        "norm_act: gamma must be float32 [4] beside y bfloat16 [2, 2, 2, 4], got bfloat16 [4]");
  CHECK(error_of([&] {
          ops::norm_act(y, {c, c}, c, c, y.to(DType::float32), {});
        }) == "norm_act: float32 [2, 2, 2, 4] on cpu does not match bfloat16 [2, 2, 2, 4] on cpu");
  CHECK(error_of([&] {
          ops::linear(x, single({5, 3}, 5), {});
        }) == "linear: x is bfloat16 on cpu, weight is float32 on cpu");

  const ek::Params params({{"w", single({4}, 6)}});
  const std::string refused = "params: 'w' is bfloat16, float32 or float64 is wanted";
  CHECK(error_of([&] { ek::Params({{"w", h}}); }) == refused);
  CHECK(error_of([&] { params.to(DType::bfloat16); }) == refused);
  CHECK(error_of([&] { params.with({h}); }) == refused);
  CHECK(contains(error_of([&] { params.over(h); }), "is bfloat16, float32 or float64 is wanted"));
}
