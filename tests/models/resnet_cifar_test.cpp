// CIFAR ResNets: structure, starting values, batch-norm statistics, and the derivatives of a whole
// network of every kind and to second order.
#include "models/resnet_cifar.h"

#include <cmath>

#include "engine/autodiff/functional.h"
#include "engine/ops.h"
#include "engine/tensor/random.h"
#include "models/registry.h"
#include "tests/catch.h"

namespace {

using ek::DType;
using ek::Mode;
using ek::Params;
using ek::Shape;
using ek::Tensor;
using ek::Tensors;

Tensor random_tensor(const Shape& shape, std::uint32_t stream, DType dtype = DType::float64) {
  const ek::RandomStream random(7, ek::Purpose::test, stream);
  std::vector<double> values;
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    values.push_back(random.normal(std::uint64_t(i)));
  }
  return Tensor::from(values, shape).to(dtype);
}

Params random_like(const Params& params, std::uint32_t stream) {
  return params.over(random_tensor({params.numel()}, stream, params.dtype()));
}

// |a - b| / |b| over the flat vectors; NaN if anything is.
double distance(const Params& a, const Params& b) {
  return ek::norm(ek::add_scaled(a.flattened(), -1, b.flattened())) / ek::norm(b);
}
double distance(const Tensor& a, const Tensor& b) {
  return distance(Params({{"t", a}}), Params({{"t", b}}));
}

double inner(const Tensor& a, const Tensor& b) {
  return ek::dot(Params({{"t", a}}), Params({{"t", b}}));
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), a.bytes()) == 0;
}

// ResNet-8 on four images of 8x8, with batch-norm parameters that are not at their start.
struct Problem {
  std::unique_ptr<const ek::Model> model = ek::make_model("resnet8", 5);
  Params params = ek::add_scaled(model->init(3, DType::float64), 0.05,
                                 random_like(model->init(3, DType::float64), 1));
  Params buffers = model->initial_buffers(DType::float64);
  Tensor x = random_tensor({4, 8, 8, 3}, 2);
  Tensor labels = Tensor::from(std::vector<std::int64_t>{0, 3, 4, 3}, {4});
  Params direction = random_like(params, 3);

  Tensor losses(const Params& p) const {
    return ek::ops::softmax_cross_entropy(model->forward(p, buffers, x, Mode::train).logits,
                                          labels);
  }
  Tensor loss(const Params& p) const { return ek::ops::mean(losses(p)); }
};

// Step of the central differences: params move by 1e-7 normal numbers, so that ReLU kinks are
// crossed by next to none of the network's 25,000 activations. Differences of values that are
// rounded at 1e-15 or so leave an error of about 1e-8; a wrong rule is off by far more.
constexpr double step = 1e-7;
constexpr double difference_tolerance = 1e-6;
// Two float64 evaluations of the same quantity through the whole network.
constexpr double exact_tolerance = 1e-11;

}  // namespace

TEST_CASE("ResNet-32: parameter counts and names", "[resnet]") {
  REQUIRE(ek::make_model("resnet32", 10)->init(0).numel() == 464154);
  REQUIRE(ek::make_model("resnet32", 100)->init(0).numel() == 470004);
  REQUIRE(ek::make_model("resnet32", 100, "cosine")->init(0).numel() == 470004 - 100);

  const auto model = ek::make_model("resnet32", 100);
  std::vector<std::string> expected{"conv1.weight", "bn1.weight", "bn1.bias"}, buffers;
  std::vector<std::string> norms{"bn1"};
  for (int stage = 1; stage <= 3; ++stage) {
    for (int block = 0; block < 5; ++block) {
      for (const char* n : {"1", "2"}) {
        const std::string prefix = fmt::format("layer{}.{}.", stage, block);
        expected.push_back(prefix + "conv" + n + ".weight");
        expected.push_back(prefix + "bn" + n + ".weight");
        expected.push_back(prefix + "bn" + n + ".bias");
        norms.push_back(prefix + "bn" + n);
      }
    }
  }
  expected.insert(expected.end(), {"linear.weight", "linear.bias"});
  for (const std::string& norm : norms) {
    buffers.insert(buffers.end(), {norm + ".running_mean", norm + ".running_var"});
  }
  auto names = [](const Params& params) {
    std::vector<std::string> result;
    for (const auto& [name, tensor] : params) result.push_back(name);
    return result;
  };
  REQUIRE(names(model->init(0)) == expected);
  REQUIRE(names(model->initial_buffers()) == buffers);
  const Params params = model->init(0);
  REQUIRE(params["layer2.0.conv1.weight"].shape() == Shape{32, 3, 3, 16});
  REQUIRE(params["linear.weight"].shape() == Shape{100, 64});
  REQUIRE(params.is_flat());
}

TEST_CASE("ResNet: starting values", "[resnet]") {
  const auto model = ek::make_model("resnet32", 100);
  const Params params = model->init(5);
  auto moments = [](const Tensor& t) {
    double mean = 0, square = 0;
    for (double v : t.to_vector()) {
      mean += v / double(t.numel());
      square += v * v / double(t.numel());
    }
    return std::pair(mean, std::sqrt(square));
  };
  for (const auto& [name, fan_in] :
       std::vector<std::pair<std::string, double>>{{"conv1.weight", 27},
                                                   {"layer1.4.conv2.weight", 144},
                                                   {"layer3.0.conv1.weight", 288},
                                                   {"linear.weight", 64}}) {
    INFO(name);
    const Tensor& weight = params[name];
    const auto [mean, deviation] = moments(weight);
    const double expected = std::sqrt(2 / fan_in), n = double(weight.numel());
    // Four standard errors of the mean and of the deviation of n normal numbers.
    REQUIRE(std::abs(mean) <= 4 * expected / std::sqrt(n));
    REQUIRE(std::abs(deviation / expected - 1) <= 4 / std::sqrt(2 * n));
  }
  const auto bias = params["linear.bias"].to_vector();
  REQUIRE(*std::max_element(bias.begin(), bias.end()) <= 0.125);
  REQUIRE(*std::max_element(bias.begin(), bias.end()) > 0.1);
  REQUIRE(*std::min_element(bias.begin(), bias.end()) >= -0.125);
  REQUIRE(*std::min_element(bias.begin(), bias.end()) < -0.1);
  REQUIRE(params["layer2.3.bn2.weight"].to_vector() == std::vector<double>(32, 1.0));
  REQUIRE(params["layer2.3.bn2.bias"].to_vector() == std::vector<double>(32, 0.0));
  const Params buffers = model->initial_buffers();
  REQUIRE(buffers["bn1.running_mean"].to_vector() == std::vector<double>(16, 0.0));
  REQUIRE(buffers["bn1.running_var"].to_vector() == std::vector<double>(16, 1.0));

  REQUIRE(same_bits(model->init(5).flat(), params.flat()));
  REQUIRE(!same_bits(model->init(6).flat(), params.flat()));
  REQUIRE(same_bits(model->init(5, DType::float64).to(DType::float32).flattened().flat(),
                    params.flat()));

  const Params cosine = ek::make_model("resnet8", 10, "cosine")->init(5, DType::float64);
  REQUIRE(!cosine.contains("linear.bias"));
  const auto rows = cosine["linear.weight"].to_vector();
  for (std::size_t r = 0; r < 10; ++r) {
    double square = 0;
    for (std::size_t k = 0; k < 64; ++k) square += rows[r * 64 + k] * rows[r * 64 + k];
    REQUIRE(std::abs(square - 1) <= 1e-14);
  }
}

TEST_CASE("ResNet: the cosine head gives scaled cosines", "[resnet]") {
  const auto plain = ek::make_model("resnet8", 6, "cosine");
  const auto scaled = ek::make_model("resnet8", 6, "cosine", 30);
  const Params params = plain->init(1, DType::float64);
  const Params buffers = plain->initial_buffers(DType::float64);
  const Tensor x = random_tensor({3, 8, 8, 3}, 4);
  const ek::ModelOutput out = plain->forward(params, buffers, x, Mode::train);
  const auto f = out.features.to_vector(), w = params["linear.weight"].to_vector();
  const auto logits = out.logits.to_vector();
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t k = 0; k < 6; ++k) {
      double ff = 0, ww = 0, fw = 0;
      for (std::size_t j = 0; j < 64; ++j) {
        ff += f[i * 64 + j] * f[i * 64 + j];
        ww += w[k * 64 + j] * w[k * 64 + j];
        fw += f[i * 64 + j] * w[k * 64 + j];
      }
      REQUIRE(std::abs(logits[i * 6 + k] - fw / std::sqrt(ff * ww)) <= 1e-14);
    }
  }
  const Tensor times30 = scaled->forward(params, buffers, x, Mode::train).logits;
  REQUIRE(distance(times30, ek::ops::affine(out.logits, 30)) <= 1e-14);
}

TEST_CASE("ResNet: running statistics", "[resnet]") {
  const Problem p;
  const ek::ModelOutput train = p.model->forward(p.params, p.buffers, p.x, Mode::train);
  REQUIRE(train.buffers.is_flat());

  // The first batch norm by hand: 0.9 old + 0.1 batch, the variance unbiased.
  const Tensor y = ek::ops::conv2d(p.x, p.params["conv1.weight"], {.padding = {1, 1}});
  const auto values = y.to_vector();
  const double rows = 4 * 8 * 8;
  for (std::size_t c = 0; c < 16; ++c) {
    double mean = 0, squares = 0;
    for (std::size_t i = c; i < values.size(); i += 16) mean += values[i] / rows;
    for (std::size_t i = c; i < values.size(); i += 16) {
      squares += (values[i] - mean) * (values[i] - mean);
    }
    const double new_mean = train.buffers["bn1.running_mean"].to_vector()[c];
    const double new_var = train.buffers["bn1.running_var"].to_vector()[c];
    REQUIRE(std::abs(new_mean - 0.1 * mean) <= 1e-14);
    REQUIRE(std::abs(new_var - (0.9 + 0.1 * squares / (rows - 1))) <= 1e-13);
  }

  // Evaluation with the batch's own (biased) statistics gives what training mode gave.
  std::vector<Params::Entry> entries;
  for (const auto& [name, tensor] : train.buffers) {
    const bool variance = name.ends_with("var");
    const bool stage2 = name.starts_with("layer2"), stage3 = name.starts_with("layer3");
    const double n = 4 * (stage3 ? 4 : stage2 ? 16 : 64);
    const Tensor batch =
        ek::ops::affine(ek::ops::sub(tensor, ek::ops::affine(p.buffers[name], 0.9)), 1 / 0.1);
    entries.push_back({name, variance ? ek::ops::affine(batch, (n - 1) / n) : batch});
  }
  const Params batch_stats{entries};
  const ek::ModelOutput eval = p.model->forward(p.params, batch_stats, p.x, Mode::eval);
  REQUIRE(distance(eval.logits, train.logits) <= 1e-11);  // 17 layers of rounding
  REQUIRE(distance(eval.features, train.features) <= 1e-11);
  // Unchanged, and used: other buffers give other logits.
  for (const auto& [name, tensor] : batch_stats) REQUIRE(eval.buffers[name].id() == tensor.id());
  const Tensor other = p.model->forward(p.params, p.buffers, p.x, Mode::eval).logits;
  REQUIRE(distance(other, train.logits) > 0.01);
}

TEST_CASE("ResNet: the new buffers are not recorded", "[resnet]") {
  const Problem p;
  auto f = [&](const Params& params) {
    ek::ModelOutput out = p.model->forward(params, p.buffers, p.x, Mode::train);
    return std::pair(out.logits, out.buffers);
  };
  const auto with = ek::linearize(f, p.params);
  const auto without = ek::linearize(
      [&](const Params& params) {
        return p.model->forward(params, p.buffers, p.x, Mode::train).logits;
      },
      p.params);
  REQUIRE(with.node_count() == without.node_count());
  REQUIRE(with.aux().size() == p.buffers.size());
}

TEST_CASE("ResNet-8: first derivatives of the whole network", "[resnet]") {
  const Problem p;
  const auto lin = ek::linearize([&](const Params& q) { return p.losses(q); }, p.params);
  const Tensor tangent = lin.jvp(p.direction);
  const Tensor plus = p.losses(ek::add_scaled(p.params, step, p.direction));
  const Tensor minus = p.losses(ek::add_scaled(p.params, -step, p.direction));
  const Tensor difference = ek::ops::affine(ek::ops::sub(plus, minus), 1 / (2 * step));
  REQUIRE(distance(tangent, difference) <= difference_tolerance);

  const Tensor ct = random_tensor({4}, 9);
  const double forward = inner(ct, tangent), reverse = ek::dot(lin.vjp(ct), p.direction);
  REQUIRE(std::abs(forward - reverse) <= exact_tolerance * std::abs(forward));
  REQUIRE(std::abs(forward) > 1);  // nothing to compare in a vanishing derivative
}

TEST_CASE("ResNet-8: second derivatives of the whole network", "[resnet]") {
  const Problem p;
  auto loss = [&](const Params& q) { return p.loss(q); };
  const Params forward_over_reverse = ek::hvp(loss, p.params, p.direction);
  const Params plus = ek::grad(loss, ek::add_scaled(p.params, step, p.direction));
  const Params minus = ek::grad(loss, ek::add_scaled(p.params, -step, p.direction));
  const Tensor difference = ek::ops::affine(
      ek::ops::sub(plus.flattened().flat(), minus.flattened().flat()), 1 / (2 * step));
  REQUIRE(distance(forward_over_reverse, p.params.over(difference)) <= difference_tolerance);

  auto gradient = [&](const Tensors& in) { return ek::grad(loss, p.params.with(in)).tensors(); };
  const ek::LinearMap map = ek::linearize_tensors(gradient, p.params.tensors());
  const Params reverse_over_reverse = p.params.with(map.vjp(p.direction.tensors()));
  REQUIRE(distance(reverse_over_reverse, forward_over_reverse) <= exact_tolerance);
}

TEST_CASE("ResNet-8: derivatives in evaluation mode", "[resnet]") {
  const Problem p;
  const Params buffers = p.model->forward(p.params, p.buffers, p.x, Mode::train).buffers;
  auto losses = [&](const Params& q) {
    return ek::ops::softmax_cross_entropy(p.model->forward(q, buffers, p.x, Mode::eval).logits,
                                          p.labels);
  };
  const auto lin = ek::linearize(losses, p.params);
  const Tensor tangent = lin.jvp(p.direction);
  const Tensor difference =
      ek::ops::affine(ek::ops::sub(losses(ek::add_scaled(p.params, step, p.direction)),
                                   losses(ek::add_scaled(p.params, -step, p.direction))),
                      1 / (2 * step));
  REQUIRE(distance(tangent, difference) <= difference_tolerance);
  const Tensor ct = random_tensor({4}, 9);
  const double forward = inner(ct, tangent), reverse = ek::dot(lin.vjp(ct), p.direction);
  REQUIRE(std::abs(forward - reverse) <= exact_tolerance * std::abs(forward));
}

TEST_CASE("ResNet-8: same bits for any number of threads", "[resnet]") {
  const int before = ek::thread_count();
  for (const DType dtype : {DType::float32, DType::float64}) {
    const auto model = ek::make_model("resnet8", 10);
    const Params params = model->init(1, dtype);
    const Params buffers = model->initial_buffers(dtype);
    const Tensor x = random_tensor({16, 32, 32, 3}, 2, dtype);
    const Params direction = random_like(params, 3);
    std::vector<Tensor> first;
    for (const int threads : {1, 2, 4}) {
      ek::set_threads(threads);
      const auto lin = ek::linearize(
          [&](const Params& q) {
            ek::ModelOutput out = model->forward(q, buffers, x, Mode::train);
            return std::pair(out.logits, out.buffers);
          },
          params);
      const Tensor ct = random_tensor({16, 10}, 4, dtype);
      const std::vector<Tensor> results{lin.value(), lin.aux().flat(),
                                        lin.vjp(ct).flattened().flat(), lin.jvp(direction)};
      if (first.empty()) first = results;
      for (std::size_t i = 0; i < results.size(); ++i) {
        INFO(name_of(dtype) << ", threads " << threads << ", result " << i);
        CHECK(same_bits(results[i], first[i]));
      }
    }
  }
  ek::set_threads(before);
}

TEST_CASE("models: errors", "[resnet]") {
  REQUIRE_THROWS_WITH(ek::make_model("resnet33", 10),
                      "model: \"resnet33\" is not known; there are resnet8, resnet20, resnet32");
  REQUIRE_THROWS_WITH(ek::make_model("resnet8", 10, "cos"),
                      "classifier: \"cos\" is not known; there are linear and cosine");
  REQUIRE_THROWS_WITH(ek::make_model("resnet8", 0),
                      "model resnet8: num_classes must be at least 1, got 0");
  const auto model = ek::make_model("resnet8", 10);
  const Params params = model->init(0), buffers = model->initial_buffers();
  const Tensor x = Tensor::zeros({2, 8, 8, 3}, DType::float32);
  REQUIRE_THROWS_WITH(
      model->forward(ek::make_model("resnet8", 12)->init(0), buffers, x, Mode::eval),
      "resnet8: linear.weight must be [10, 64], got [12, 64]");
  REQUIRE_THROWS_WITH(model->forward(params, Params(), x, Mode::eval),
                      "resnet8: bn1.running_mean [16] is missing");
  REQUIRE_THROWS_WITH(
      model->forward(params, buffers, Tensor::zeros({2, 3, 8, 8}, DType::float32), Mode::eval),
      "resnet8: x must be [batch, height, width, 3], got [2, 3, 8, 8]");
  REQUIRE_THROWS_WITH(
      model->forward(params, buffers, Tensor::zeros({1, 1, 1, 3}, DType::float32), Mode::train),
      "bn1: training needs more than one value per channel, got [1, 1, 1, 16]");
}
