// metagrad:difficulty-net through files: the golden problem, and the routes on a ResNet.
#include "engine/tensor/random.h"
#include "tests/apps/op_files.h"
#include "tests/error_of.h"
#include "tests/methods/golden.h"

using namespace op_files;
using ek::DType;
using ek::NamedTensor;
using ek::Shape;
using ek::Tensor;

namespace {

constexpr const char* op_name = "metagrad:difficulty-net";
// The golden numbers are float64; sums of a few dozen products keep all but the last digits.
constexpr double golden_tolerance = 1e-9;
// Central differences of losses with a step of 1e-7 / |v|.
constexpr double finite_difference_tolerance = 1e-8;

Tensor tensor_of(const nlohmann::json& json) {
  const std::int64_t rows = std::int64_t(json.size());
  return Tensor::from(numbers(json),
                      json[0].is_array() ? Shape{rows, std::int64_t(json[0].size())} : Shape{rows});
}

// The golden problem as a file; its Difficulty-Net with or without biases.
std::vector<NamedTensor> golden_file(const nlohmann::json& json, bool bias) {
  const auto& in = json["inputs"];
  const auto& theta = json["difficulty_net"][bias ? "with_bias" : "no_bias"]["theta"];
  std::vector<NamedTensor> tensors{{"model.fc1.weight", tensor_of(in["phi"]["W1"])},
                                   {"model.bn.weight", tensor_of(in["phi"]["gamma"])},
                                   {"model.bn.bias", tensor_of(in["phi"]["beta"])},
                                   {"model.fc2.weight", tensor_of(in["phi"]["W2"])},
                                   {"model.fc2.bias", tensor_of(in["phi"]["b2"])},
                                   {"train.x", tensor_of(in["train_x"])},
                                   {"meta.x", tensor_of(in["meta_x"])},
                                   {"class_accuracy", tensor_of(in["class_accuracy"])}};
  for (const std::string part : {"train", "meta"}) {
    tensors.emplace_back(part + ".y", whole(in[part + "_y"].get<std::vector<std::int64_t>>()));
  }
  for (const std::string layer : {"1", "2", "3"}) {
    tensors.emplace_back("net.fc" + layer + ".weight", tensor_of(theta["V" + layer]));
    if (bias) tensors.emplace_back("net.fc" + layer + ".bias", tensor_of(theta["c" + layer]));
  }
  return tensors;
}

double golden_error(const Tensor& a, const nlohmann::json& expected) {
  return worst_error(a.to_vector(), numbers(expected), 1);
}

// A ResNet-8 of 4 classes with two batches of random images, as a file.
std::vector<NamedTensor> resnet_file() {
  std::vector<NamedTensor> tensors;
  const auto draw = [](const Shape& shape, std::uint32_t index, double scale) {
    const ek::RandomStream random(5, ek::Purpose::test, index);
    std::vector<double> values(std::size_t(shape.numel()));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = scale * random.normal(i);
    return Tensor::from(values, shape);
  };
  for (const auto& [name, tensor] : ek::find_op("model:resnet8").example(2).tensors) {
    if (name != "x" && !name.starts_with("linear.")) tensors.emplace_back("model." + name, tensor);
  }
  tensors.emplace_back("model.linear.weight", draw({4, 64}, 1, 0.2));
  tensors.emplace_back("model.linear.bias", draw({4}, 2, 0.1));
  for (const auto& [layer, shape] :
       std::vector<std::pair<std::string, Shape>>{{"1", {8, 4}}, {"2", {8, 8}}, {"3", {4, 8}}}) {
    tensors.emplace_back("net.fc" + layer + ".weight", draw(shape, std::uint32_t(layer[0]), 0.7));
  }
  tensors.emplace_back("train.x", draw({8, 3, 8, 8}, 3, 1));
  tensors.emplace_back("meta.x", draw({6, 3, 8, 8}, 4, 1));
  tensors.emplace_back("train.y", whole({0, 1, 2, 0, 1, 0, 2, 0}));
  tensors.emplace_back("meta.y", whole({0, 1, 2, 3, 1, 2}));
  tensors.emplace_back("class_accuracy", real({0.9, 0.6, 0.4, 0.2}, {4}));
  return tensors;
}

}  // namespace

TEST_CASE("ek-op: the golden meta-gradient by all routes", "[op]") {
  const nlohmann::json json = golden("meta_gradients.json");
  for (const bool bias : {false, true}) {
    const auto& expected = json["difficulty_net"][bias ? "with_bias" : "no_bias"]["expected"];
    const auto file = golden_file(json, bias);
    for (const std::string estimator : {"forward", "reverse", "finite-difference", "detached"}) {
      CAPTURE(bias, estimator);
      const bool probes = estimator == "finite-difference", detached = estimator == "detached";
      const double tolerance = probes ? finite_difference_tolerance : golden_tolerance;
      const Outputs out =
          run(op_name, file, nlohmann::json{{"model", "toy"}, {"estimator", estimator}}.dump());
      CHECK(golden_error(out["meta_loss"], expected["meta_loss"]) <= golden_tolerance);
      CHECK(golden_error(out["driver_loss"], expected["driver_loss"]) <= golden_tolerance);
      CHECK(golden_error(out["class_weights"], expected["w"]) <= golden_tolerance);
      if (detached) {
        CHECK(out["grad.class_weights"].to_vector() == std::vector<double>(3, 0.0));
      } else {
        CHECK(golden_error(out["grad.class_weights"], expected["dG_dw"]) <= tolerance);
      }
      const auto& theta = expected[detached ? "grad_theta_detached" : "grad_theta_exact"];
      for (const std::string layer : {"1", "2", "3"}) {
        CHECK(golden_error(out["grad.net.fc" + layer + ".weight"], theta["V" + layer]) <=
              tolerance);
        CHECK(out.has("grad.net.fc" + layer + ".bias") == bias);
        if (!bias) continue;
        CHECK(golden_error(out["grad.net.fc" + layer + ".bias"], theta["c" + layer]) <= tolerance);
      }
    }
  }
}

TEST_CASE("ek-op: the example of the meta-gradient is the golden problem", "[op]") {
  const auto file = golden_file(golden("meta_gradients.json"), false);
  const ek::OpExample example = ek::find_op(op_name).example(0);
  CHECK(example.tensors.size() == file.size());
  const Outputs tensors{example.tensors};
  for (const auto& [name, tensor] : file) {
    CAPTURE(name);
    CHECK(tensors[name].shape() == tensor.shape());
    CHECK(tensors[name].to_vector() == tensor.to_vector());
  }
}

TEST_CASE("ek-op: the routes agree on a ResNet-8", "[op]") {
  const auto file = resnet_file();
  const auto at = [&](const std::string& estimator, DType dtype) {
    const nlohmann::json attributes{{"model", "resnet8"}, {"estimator", estimator}};
    return run(op_name, file, attributes.dump(), false, dtype);
  };
  const Outputs exact = at("forward", DType::float64);
  CHECK(exact["grad.class_weights"].to_vector()[3] == 0.0);  // class 3 is not in the train batch
  CHECK(exact["grad.class_weights"].to_vector()[0] != 0.0);

  // Spec 5.2: 1e-9 in float64; 1e-2 in float32 for a ResNet-32, of which ResNet-8 is a third.
  for (const auto& [dtype, tolerance] :
       {std::pair(DType::float64, 1e-9), std::pair(DType::float32, 3e-3)}) {
    const Outputs forward = at("forward", dtype), reverse = at("reverse", dtype);
    for (const auto& [name, tensor] : forward.tensors) {
      CAPTURE(name, ek::name_of(dtype));
      CHECK(tensor.dtype() == dtype);
      CHECK(error(reverse[name], tensor) <= tolerance);
      CHECK(error(tensor, exact[name]) <= tolerance);
    }
  }
}

TEST_CASE("ek-op: options of the meta-gradient", "[op]") {
  auto file = resnet_file();
  const Outputs plain = run(op_name, file, R"({"model": "resnet8"})");

  // Buffers may be left out: training mode does not read them.
  std::vector<NamedTensor> bare;
  for (const NamedTensor& named : file) {
    if (!contains(named.first, "running_")) bare.push_back(named);
  }
  const Outputs without = run(op_name, bare, R"({"model": "resnet8", "num_classes": 4})");
  for (const auto& [name, tensor] : plain.tensors) {
    CHECK(without[name].to_vector() == tensor.to_vector());
  }

  file.emplace_back("class_counts", whole({40, 20, 10, 5}));
  const Outputs balanced =
      run(op_name, file, R"({"model": "resnet8", "loss": "balanced-softmax"})");
  const Outputs adjusted =
      run(op_name, file, R"({"model": "resnet8", "loss": {"name": "logit-adjusted", "tau": 1}})");
  // Counts and shares differ by a constant, which no softmax sees.
  CHECK(error(balanced["grad.class_weights"], adjusted["grad.class_weights"]) <= 1e-9);
  CHECK(error(balanced["grad.class_weights"], plain["grad.class_weights"]) > 1e-3);

  const Outputs other =
      run(op_name, file, R"({"model": "resnet8", "driver_target": "one_minus_accuracy"})");
  CHECK(other["driver_loss"].item() != plain["driver_loss"].item());
  CHECK(other["meta_loss"].item() == plain["meta_loss"].item());

  const auto message = [&](const std::string& attributes) {
    return error_of([&] { run(op_name, file, attributes); });
  };
  CHECK(message(R"({"model": "resnet8", "loss": "class-weighted"})") ==
        "metagrad:difficulty-net: it weights the classes itself, so loss expected one without "
        "class weights and with normalizer mean_batch");
  CHECK(contains(message(R"({"model": "resnet8", "loss": "balanced-softmx"})"),
                 "did you mean 'balanced-softmax'?"));
  CHECK(contains(message(R"({"model": "resnet8", "estimator": "backward"})"),
                 "'estimator' expected one of forward, reverse, finite-difference, detached"));
  file.emplace_back("net.fc1.bias", Tensor::zeros({8}, DType::float64));
  CHECK(message(R"({"model": "resnet8"})") ==
        "IN: argument net.fc2.bias [8] of metagrad:difficulty-net is missing");
}
