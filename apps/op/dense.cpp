// linear, cosine_linear, relu, add.
#include "apps/op/families.h"
#include "engine/ops.h"

namespace ek {
namespace {

// x [N, I], weight [O, I], in words of files.
void require_matrices(std::string_view op, const OpCall& call) {
  const Tensor &x = call.at("x"), &weight = call.at("weight");
  require(x.rank() == 2, "{}: x expected [N, I], came {}", op, file_shape(x));
  require(weight.rank() == 2 && weight.size(1) == x.size(1),
          "{}: weight expected [O, {}] for x {}, came {}", op, x.size(1), x.shape().str(),
          file_shape(weight));
}

std::vector<NamedTensor> run_linear(const OpCall& call) {
  require_matrices("linear", call);
  return {{"y", ops::linear(call.at("x"), call.at("weight"), call.find("bias"))}};
}

std::vector<NamedTensor> run_cosine_linear(const OpCall& call) {
  require_matrices("cosine_linear", call);
  return {{"y", ops::cosine_linear(call.at("x"), call.at("weight"), call.find("scale"))}};
}

std::vector<NamedTensor> run_relu(const OpCall& call) {
  return {{"y", ops::relu(call.at("x"))}};
}

std::vector<NamedTensor> run_add(const OpCall& call) {
  const Tensor &a = call.at("a"), &b = call.at("b");
  require(a.shape() == b.shape(), "add: b expected the shape of a {}, came {}", file_shape(a),
          file_shape(b));
  return {{"y", ops::add(a, b)}};
}

OpExample matrices(std::uint64_t seed, const std::string& third, const Shape& shape) {
  return {{{"x", random_normal({4, 5}, seed, 0)},
           {"weight", random_normal({3, 5}, seed, 1)},
           {third, random_uniform(shape, seed, 2, 1, 2)}}};
}
OpExample linear_example(std::uint64_t seed) {
  return matrices(seed, "bias", {3});
}
OpExample cosine_example(std::uint64_t seed) {
  return matrices(seed, "scale", {});
}
OpExample relu_example(std::uint64_t seed) {
  return {{{"x", random_normal({2, 3}, seed, 0)}}};
}
OpExample add_example(std::uint64_t seed) {
  return {
      {{"a", random_normal({2, 3, 2, 2}, seed, 0)}, {"b", random_normal({2, 3, 2, 2}, seed, 1)}}};
}

}  // namespace

std::vector<OpEntry> dense_ops() {
  constexpr OpKind real = OpKind::differentiable;
  const OpArgument x{"x", real, "[N, I]"}, weight{"weight", real, "[O, I]"};
  const std::vector<OpOutput> y{{"y", "[N, O]"}};
  return {
      {.name = "linear",
       .doc = "x weight^T + bias",
       .signature = {{x, weight, {"bias", real, "[O]", true}}, y},
       .attributes = {},
       .run = run_linear,
       .example = linear_example},
      {.name = "cosine_linear",
       .doc = "scale * cosine of the angle between each row of x and each row of weight",
       .signature = {{x, weight, {"scale", real, "one element; 1 if it is left out", true}}, y},
       .attributes = {},
       .run = run_cosine_linear,
       .example = cosine_example},
      {.name = "relu",
       .doc = "max(x, 0); derivative 0 at 0",
       .signature = {{{"x", real, "any"}}, {{"y", "that of x"}}},
       .attributes = {},
       .run = run_relu,
       .example = relu_example},
      {.name = "add",
       .doc = "a + b",
       .signature = {{{"a", real, "any"}, {"b", real, "that of a"}}, {{"y", "that of a"}}},
       .attributes = {},
       .run = run_add,
       .example = add_example},
  };
}

}  // namespace ek
