// A whole network on bfloat16 images: adjointness, distance from float64, dtypes.
#include "engine/autodiff/functional.h"
#include "engine/ops.h"
#include "engine/tensor/random.h"
#include "models/registry.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/tensor_numbers.h"

namespace {

using ek::DType;
using ek::Mode;
using ek::Params;
using ek::Shape;
using ek::Tensor;
using ek::Tensors;

Tensor normal(const Shape& shape, std::uint32_t number, DType dtype) {
  const ek::RandomStream random(11, ek::Purpose::test, number);
  std::vector<double> values(std::size_t(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = random.normal(i);
  return Tensor::from(values, shape).to(dtype);
}

Params normal_like(const Params& like, std::uint32_t number) {
  return like.over(normal({like.numel()}, number, like.dtype()));
}

// Per-sample losses of a ResNet-8 on 32 images of 16x16, as a function of its parameters.
struct Network {
  std::unique_ptr<const ek::Model> model = ek::make_model("resnet8", 10);
  Params params, buffers;
  Tensor images, labels;

  explicit Network(DType dtype) {
    const DType master = ek::accumulation_dtype(dtype);
    params = model->init(3, DType::float32).to(master);
    buffers = model->initial_buffers(master);
    images = normal({32, 16, 16, 3}, 1, DType::bfloat16).to(dtype);
    std::vector<std::int64_t> classes;
    for (std::int64_t i = 0; i < 32; ++i) classes.push_back(i * i % 10);
    labels = Tensor::from(classes, {32});
  }
  ek::Linearization<ek::ModelOutput> linearize() const {
    return ek::linearize(
        [&](const Params& p) {
          ek::ModelOutput out = model->forward(p, buffers, images, Mode::train);
          return std::pair(ek::ops::softmax_cross_entropy(out.logits, labels), out);
        },
        params);
  }
};

// Eight roundings to bfloat16 lie on the way through a block and its shortcut, some thirty through
// the network, each of at most 2^-9 of a value. They are as good as independent, so what they do to
// an inner product over thousands of terms is far below their sum, 30 * 2^-9 of the terms' size;
// measured 3e-3 at most.
constexpr double adjoint_tolerance = 1e-2;
// Rounding at 2^-9 switches ReLUs whose inputs lie within it of zero, a few in a thousand, and each
// switch takes a term of the gradient away: the square root of 2^-9 is 4e-2, and the layers add to
// it. Measured 0.12 at these random parameters; moving the parameters by 2^-9 does as much in
// float64.
constexpr double gradient_bound = 0.2;

}  // namespace

TEST_CASE("resnet8 in bf16: tangent and cotangent sweeps are adjoint", "[resnet][bf16]") {
  const Network network(DType::bfloat16);
  const auto lin = network.linearize();
  for (std::uint32_t seed : {20, 30, 40}) {
    const Params v = normal_like(network.params, seed);
    const Tensor ct = normal({32}, seed + 1, DType::float32);
    const Tensor jv = lin.jvp(v);
    const Params vjp = lin.vjp(ct);
    CHECK(jv.dtype() == DType::float32);
    CHECK(vjp.dtype() == DType::float32);
    const double forward = inner({ct}, {jv}).first, reverse = dot(vjp, v);
    const double size = norm(vjp) * norm(v);
    INFO("<ct, J v> = " << forward << ", <J^T ct, v> = " << reverse << ", |J^T ct| |v| = " << size
                        << ", terms " << inner({ct}, {jv}).second);
    CHECK(std::abs(forward - reverse) <= adjoint_tolerance * inner({ct}, {jv}).second);
  }
}

TEST_CASE("resnet8 in bf16: losses, gradients and tangents are near float64", "[resnet][bf16]") {
  const Network network(DType::bfloat16), exact(DType::float64);
  const auto lin = network.linearize(), reference = exact.linearize();
  const Tensor ct = normal({32}, 5, DType::float32);
  const Params v = normal_like(network.params, 6);
  CHECK(norm_error(lin.value(), reference.value()) <= 2e-2);
  const double gradient =
      norm_error(lin.vjp(ct).tensors(), reference.vjp(ct.to(DType::float64)).tensors());
  const double tangent = norm_error(lin.jvp(v), reference.jvp(v.to(DType::float64)));
  INFO("gradient " << gradient << ", tangent " << tangent);
  CHECK(gradient <= gradient_bound);
  CHECK(tangent <= gradient_bound);
}

TEST_CASE("resnet8 in bf16: everything but activations is float32", "[resnet][bf16]") {
  const Network network(DType::bfloat16);
  for (Mode mode : {Mode::train, Mode::eval}) {
    const auto out = network.model->forward(network.params, network.buffers, network.images, mode);
    CHECK(out.logits.dtype() == DType::float32);
    CHECK(out.features.dtype() == DType::float32);
    CHECK(out.buffers.dtype() == DType::float32);
  }
  const Params wide = network.params.to(DType::float64);
  CHECK(error_of([&] {
          network.model->forward(wide, network.buffers, network.images, Mode::eval);
        }) == "resnet8: conv1.weight must be float32 beside bfloat16 x, got float64");
  CHECK(error_of([&] {
          network.model->forward(wide, network.buffers, network.images.to(DType::float64),
                                 Mode::eval);
        }) == "resnet8: bn1.running_mean must be float64 beside float64 x, got float32");
  CHECK(contains(error_of([&] {
                   network.model->forward(network.params, network.buffers,
                                          Tensor::zeros({2, 8, 8, 3}, DType::uint8), Mode::eval);
                 }),
                 "resnet8: x must be of a floating-point dtype, got uint8 [2, 8, 8, 3]"));
  const auto toy = ek::make_model("toy", 3);
  CHECK(error_of([&] {
          toy->forward(toy->init(0), toy->initial_buffers(), Tensor::zeros({4, 2}, DType::bfloat16),
                       Mode::train);
        }) == "toy: x must be float32 or float64, got bfloat16");
}
