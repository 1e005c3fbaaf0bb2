// ek-op's table: derivatives of every entry through files, and PyTorch's layouts and defaults.
#include <cmath>

#include "tests/apps/op_files.h"
#include "tests/error_of.h"
#include "tests/tensor_numbers.h"

using namespace op_files;
using ek::DType;
using ek::NamedTensor;
using ek::Shape;
using ek::Tensor;

namespace {

bool differentiable(const ek::OpEntry& op) {
  return !op.name.starts_with("metagrad:");
}

const Tensor* find(const std::vector<NamedTensor>& tensors, const std::string& name) {
  for (const auto& [key, tensor] : tensors) {
    if (key == name) return &tensor;
  }
  return nullptr;
}

// Sum of products, and of their sizes.
struct Product {
  double value = 0, size = 0;
  void add(const Tensor& a, const Tensor& b) {
    REQUIRE(a.shape() == b.shape());
    const auto x = a.to_vector(), y = b.to_vector();
    for (std::size_t i = 0; i < x.size(); ++i) {
      value += x[i] * y[i];
      size += std::abs(x[i] * y[i]);
    }
  }
};

}  // namespace

TEST_CASE("ek-op: cotangent and tangent of every op are adjoint", "[op]") {
  // float64 sums through some thirty layers, relative to the size of their terms.
  constexpr double tolerance = 1e-12;
  for (const ek::OpEntry& op : ek::op_table()) {
    if (!differentiable(op)) continue;
    CAPTURE(op.name);
    const ek::OpExample example = ek::full_example(op, 7);
    const Outputs out = run(op.name, example.tensors, example.attributes.dump(), true);
    Product forward, reverse;
    int tangents = 0, cotangents = 0;
    for (const auto& [name, tensor] : example.tensors) {
      if (name.starts_with("ct.")) {
        forward.add(tensor, out["tangent." + name.substr(3)]);
        ++cotangents;
      } else if (name.starts_with("t.")) {
        reverse.add(tensor, out["grad." + name.substr(2)]);
        ++tangents;
      }
    }
    REQUIRE(cotangents >= 1);
    REQUIRE(tangents >= 1);
    CHECK(std::abs(forward.value) > 1e-6 * forward.size);  // a cut path would give zero
    CHECK(std::abs(forward.value - reverse.value) <= tolerance * (forward.size + reverse.size));
  }
}

TEST_CASE("ek-op: tangents are those of a finite difference", "[op]") {
  // Central differences with this step lose half the digits; no example has a kink so near.
  constexpr double step = 1e-6, tolerance = 1e-7;
  for (const ek::OpEntry& op : ek::op_table()) {
    if (!differentiable(op) || op.name.starts_with("model:resnet")) continue;  // kinks
    CAPTURE(op.name);
    const ek::OpExample example = ek::full_example(op, 3);
    const std::string attributes = example.attributes.dump();
    const auto moved = [&](double by) {
      std::vector<NamedTensor> tensors = example.tensors;
      for (auto& [name, tensor] : tensors) {
        const Tensor* direction = find(example.tensors, "t." + name);
        if (!direction) continue;
        std::vector<double> x = tensor.to_vector();
        const std::vector<double> t = direction->to_vector();
        for (std::size_t i = 0; i < x.size(); ++i) x[i] += by * t[i];
        tensor = Tensor::from(x, tensor.shape());
      }
      return run(op.name, tensors, attributes);
    };
    const Outputs up = moved(step), down = moved(-step);
    const Outputs out = run(op.name, example.tensors, attributes, true);
    for (const auto& [name, tangent] : out.tensors) {
      if (!name.starts_with("tangent.")) continue;
      CAPTURE(name);
      const auto a = up[name.substr(8)].to_vector(), b = down[name.substr(8)].to_vector();
      std::vector<double> slope;
      for (std::size_t i = 0; i < a.size(); ++i) slope.push_back((a[i] - b[i]) / (2 * step));
      CHECK(error(tangent, Tensor::from(slope, tangent.shape())) <= tolerance);
    }
  }
}

TEST_CASE("ek-op: images are NCHW and weights OIHW, worked out by hand", "[op]") {
  const Tensor x = real({1, 2, 3, 4, 10, 20, 30, 40}, {1, 2, 2, 2});
  const Tensor weight = real({1, 100, 1000, 10000}, {1, 2, 1, 2});
  const Outputs conv = run(
      "conv2d", {{"x", x}, {"weight", weight}, {"ct.y", real({1, 2}, {1, 1, 2, 1})}, {"t.x", x}},
      "", true);
  CHECK(conv["y"].shape() == Shape{1, 1, 2, 1});
  CHECK(conv["y"].to_vector() == std::vector<double>{210201, 430403});
  CHECK(conv["tangent.y"].to_vector() == conv["y"].to_vector());  // linear, and no t.weight
  CHECK(conv["grad.weight"].shape() == weight.shape());
  CHECK(conv["grad.weight"].to_vector() == std::vector<double>{7, 10, 70, 100});
  CHECK(conv["grad.x"].to_vector() ==
        std::vector<double>{1, 100, 2, 200, 1000, 10000, 2000, 20000});

  // A pair is [height, width].
  const std::vector<NamedTensor> image{{"x", Tensor::zeros({1, 1, 4, 6}, DType::float64)}};
  CHECK(run("max_pool2d", image, R"({"kernel_size": 1, "stride": [1, 2]})")["y"].shape() ==
        Shape{1, 1, 4, 3});
  CHECK(run("avg_pool2d", image, R"({"kernel_size": [2, 3]})")["y"].shape() == Shape{1, 1, 2, 2});
  CHECK(run("max_pool2d", {{"x", x}}, R"({"kernel_size": [1, 2]})")["y"].to_vector() ==
        std::vector<double>{2, 4, 20, 40});
  CHECK(run("global_avg_pool", {{"x", x}})["y"].to_vector() == std::vector<double>{2.5, 25});
  // Padding counts as zeros.
  CHECK(run("avg_pool2d", {{"x", x}}, R"({"kernel_size": 2, "padding": 1})")["y"].to_vector() ==
        std::vector<double>{0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10});
}

TEST_CASE("ek-op: batch norm in evaluation and in training", "[op]") {
  const std::vector<NamedTensor> image{{"x", real({1, 3, 10, 30}, {1, 2, 1, 2})},
                                       {"weight", real({2, 1}, {2})},
                                       {"bias", real({0, 5}, {2})},
                                       {"running_mean", real({1, 10}, {2})},
                                       {"running_var", real({4, 100}, {2})}};
  const Outputs eval = run("batch_norm", image, R"({"eps": 0})");  // training is not the default
  CHECK(eval["y"].to_vector() == std::vector<double>{0, 2, 5, 7});
  CHECK(eval["new_running_mean"].to_vector() == std::vector<double>{1, 10});
  CHECK(eval["new_running_var"].to_vector() == std::vector<double>{4, 100});

  const Outputs train = run("batch_norm", image, R"({"training": true, "eps": 0})");
  CHECK(error(train["y"], real({-2, 2, 4, 6}, {1, 2, 1, 2})) <= 1e-15);
  // Momentum 0.1; means 2 and 20, unbiased variances 2 and 200.
  CHECK(error(train["new_running_mean"], real({1.1, 11}, {2})) <= 1e-15);
  CHECK(error(train["new_running_var"], real({3.8, 110}, {2})) <= 1e-15);

  // The residual is added before the ReLU.
  auto with_residual = image;
  with_residual.emplace_back("residual", real({1, -3, -6, 1}, {1, 2, 1, 2}));
  CHECK(run("batch_norm", with_residual, R"({"eps": 0, "relu": true})")["y"].to_vector() ==
        std::vector<double>{1, 0, 0, 8});
}

TEST_CASE("ek-op: losses of the golden case A", "[op]") {
  // Case A of tests/golden/losses.json, to six decimals.
  constexpr double tolerance = 5.1e-7;
  const std::vector<NamedTensor> case_a{{"logits", real({2, -1, 0.5, 0.2, 1.5, -0.3}, {2, 3})},
                                        {"labels", whole({0, 2})},
                                        {"class_counts", whole({100, 20, 5})}};
  const auto loss = [&](const std::string& name, const std::string& attributes) {
    const Tensor value = run("loss:" + name, case_a, attributes)["loss"];
    REQUIRE(value.rank() == 0);
    return value.item();
  };
  CHECK(std::abs(loss("cross-entropy", "") - 1.202223) <= tolerance);
  CHECK(std::abs(loss("balanced-softmax", "") - 2.042158) <= tolerance);
  CHECK(std::abs(loss("logit-adjusted", R"({"tau": 1.5})") - 2.644717) <= tolerance);
  CHECK(std::abs(loss("class-weighted", "") - 2.509093) <= tolerance);
  CHECK(std::abs(loss("class-weighted", R"({"normalizer": "mean_weighted"})") - 2.071206) <=
        tolerance);

  // The same prior through the op of its own; counts in floating point.
  auto with_prior = case_a;
  with_prior[2] = {"log_prior", real({std::log(100), std::log(20), std::log(5)}, {3})};
  const Outputs adjusted = run("softmax_cross_entropy", with_prior);
  CHECK(std::abs(adjusted["losses"].to_vector()[0] - 0.020894) <= tolerance);
  CHECK(std::abs(adjusted["losses"].to_vector()[1] - 4.063422) <= tolerance);
  auto real_counts = case_a;
  real_counts[2].second = real({100, 20, 5}, {3});
  CHECK(run("loss:balanced-softmax", real_counts)["loss"].item() == loss("balanced-softmax", ""));
}

TEST_CASE("ek-op: what a file is computed in", "[op]") {
  const Tensor x = real({1, -2}, {2}), half = x.to(DType::bfloat16), single = x.to(DType::float32);
  const auto type = [](const Outputs& out) { return out["y"].dtype(); };
  CHECK(type(run("add", {{"a", x}, {"b", single}})) == DType::float64);
  CHECK(type(run("add", {{"a", single}, {"b", x}})) == DType::float32);
  CHECK(type(run("add", {{"a", half}, {"b", x}})) == DType::float32);
  CHECK(type(run("add", {{"a", half}, {"b", half}}, "", false, DType::float64)) == DType::float64);
  const Outputs out = run("relu", {{"x", x}, {"ct.y", half}}, "", true, DType::float32);
  CHECK(out["grad.x"].dtype() == DType::float32);
  CHECK(out["tangent.y"].dtype() == DType::float32);
  CHECK(contains(error_of([&] {
                   run("relu", {{"x", x}}, "", false, DType::bfloat16);
                 }),
                 "--dtype bfloat16: relu is not there in bfloat16"));
}

TEST_CASE("ek-op: bfloat16 images beside float32 parameters", "[op]") {
  for (const char* name : {"conv2d", "batch_norm", "global_avg_pool", "model:resnet8"}) {
    INFO(name);
    // Numbers of which rounding switches no ReLU of batch_norm: one of 72 is a third of a gradient.
    const ek::OpExample example = ek::full_example(ek::find_op(name), 0);
    const std::string attributes = example.attributes.dump();
    const Outputs out = run(name, example.tensors, attributes, true, DType::bfloat16);
    const Outputs wide = run(name, example.tensors, attributes, true, DType::float64);
    for (const auto& [output, tensor] : out.tensors) {
      INFO(output);
      const bool image = tensor.rank() == 4 && !output.ends_with("weight");
      CHECK(tensor.dtype() == (image ? DType::bfloat16 : DType::float32));
      // One op rounds a few times at 2^-9; the network does so in twenty passes and switches ReLUs.
      CHECK(norm_error(tensor, wide[output]) <=
            (std::string_view(name) == "model:resnet8" ? 0.5 : 0.02));
    }
  }
}

TEST_CASE("ek-op: a missing cotangent or tangent is zero", "[op]") {
  const Tensor x = real({1, -2, 3}, {3});
  const Outputs none = run("relu", {{"x", x}}, "", true);
  CHECK(none["grad.x"].to_vector() == std::vector<double>(3, 0.0));
  CHECK(none["tangent.y"].to_vector() == std::vector<double>(3, 0.0));
  const Outputs one = run("add", {{"a", x}, {"b", x}, {"t.b", x}}, "", true);
  CHECK(one["tangent.y"].to_vector() == x.to_vector());
  // An optional argument that did not come has no gradient.
  const Outputs linear =
      run("linear", {{"x", real({1, 2}, {1, 2})}, {"weight", real({3, 4}, {1, 2})}}, "", true);
  CHECK(linear.has("grad.weight"));
  CHECK(!linear.has("grad.bias"));
}

TEST_CASE("ek-op: a model's new running statistics come with training alone", "[op]") {
  const ek::OpEntry& op = ek::find_op("model:resnet8");
  const ek::OpExample example = op.example(1);
  const Outputs train = run(op.name, example.tensors, R"({"training": true})");
  const Outputs eval = run(op.name, example.tensors);
  CHECK(train["logits"].shape() == Shape{3, 5});
  CHECK(train["features"].shape() == Shape{3, 64});
  CHECK(train["new.bn1.running_mean"].shape() == Shape{16});
  CHECK(!eval.has("new.bn1.running_mean"));
  CHECK(train["logits"].to_vector() != eval["logits"].to_vector());
  // PyTorch's step counters are passed over.
  auto counted = example.tensors;
  counted.emplace_back("bn1.num_batches_tracked", whole({3}));
  CHECK(run(op.name, counted)["logits"].to_vector() == eval["logits"].to_vector());
}
