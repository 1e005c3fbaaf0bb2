// The toy network of the golden bilevel problem: its numbers, its buffers, its errors.
#include "models/toy.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/ops.h"
#include "models/registry.h"
#include "tests/catch.h"
#include "tests/paths.h"

namespace {

using ek::Mode;
using ek::Params;
using ek::Shape;
using ek::Tensor;

// Sums of four products in float64.
constexpr double tolerance = 1e-14;

Tensor tensor_of(const nlohmann::json& j) {
  std::vector<double> values;
  Shape shape{std::int64_t(j.size())};
  if (j[0].is_array()) shape = {std::int64_t(j.size()), std::int64_t(j[0].size())};
  for (const auto& row : j) {
    if (!row.is_array()) values.push_back(row.get<double>());
    for (const auto& value : row.is_array() ? row : nlohmann::json::array()) {
      values.push_back(value.get<double>());
    }
  }
  return Tensor::from(values, shape);
}

struct Golden {
  nlohmann::json file =
      nlohmann::json::parse(std::ifstream(source_dir() + "/tests/golden/meta_gradients.json"));
  nlohmann::json in = file.at("inputs"), phi = in.at("phi");
  Params params{{{"fc1.weight", tensor_of(phi.at("W1"))},
                 {"bn.weight", tensor_of(phi.at("gamma"))},
                 {"bn.bias", tensor_of(phi.at("beta"))},
                 {"fc2.weight", tensor_of(phi.at("W2"))},
                 {"fc2.bias", tensor_of(phi.at("b2"))}}};
  Tensor x = tensor_of(in.at("train_x"));
};

}  // namespace

TEST_CASE("toy: parameters and buffers", "[toy]") {
  const auto model = ek::make_model("toy", 3);
  CHECK(model->init(1).numel() == 8 + 4 + 4 + 12 + 3);
  CHECK(model->initial_buffers().numel() == 8);
  CHECK(ek::make_model("toy", 3, "cosine")->init(1).numel() == 8 + 4 + 4 + 12);
  // No network for images: recipes and checkpoints do not choose it.
  const auto names = ek::model_names();
  CHECK(std::count(names.begin(), names.end(), "toy") == 0);
}

TEST_CASE("toy: the golden losses, for vectors and for images", "[toy]") {
  const Golden golden;
  const auto model = ek::make_model("toy", 3);
  const Params buffers = model->initial_buffers(ek::DType::float64);
  const auto labels = golden.in.at("train_y").get<std::vector<std::int64_t>>();
  const std::int64_t batch = std::int64_t(labels.size());
  const auto& expected =
      golden.file.at("difficulty_net").at("no_bias").at("expected").at("per_sample_loss");
  for (const Tensor& x : {golden.x, golden.x.view({batch, 1, 1, 2})}) {
    const auto out = model->forward(golden.params, buffers, x, Mode::train);
    CHECK(out.features.shape() == Shape{batch, 4});
    const auto losses =
        ek::ops::softmax_cross_entropy(out.logits, Tensor::from(labels, {batch})).to_vector();
    for (std::size_t i = 0; i < losses.size(); ++i) {
      CHECK(std::abs(losses[i] - expected[i].get<double>()) <= tolerance * 100);
    }
  }
}

TEST_CASE("toy: running statistics move in training and are used in evaluation", "[toy]") {
  const Golden golden;
  const auto model = ek::make_model("toy", 3);
  const Params start = model->initial_buffers(ek::DType::float64);
  const Params moved = model->forward(golden.params, start, golden.x, Mode::train).buffers;

  // Channel 0 by hand.
  const auto x = golden.x.to_vector(), w = golden.params["fc1.weight"].to_vector();
  const std::size_t rows = x.size() / 2;
  double mean = 0, squares = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    const double y = x[2 * i] * w[0] + x[2 * i + 1] * w[1];
    mean += y / double(rows);
    squares += y * y;
  }
  const double unbiased = (squares - double(rows) * mean * mean) / double(rows - 1);
  CHECK(std::abs(moved["bn.running_mean"].to_vector()[0] - 0.1 * mean) <= tolerance);
  CHECK(std::abs(moved["bn.running_var"].to_vector()[0] - (0.9 + 0.1 * unbiased)) <= tolerance);

  const auto before = model->forward(golden.params, start, golden.x, Mode::eval);
  const auto after = model->forward(golden.params, moved, golden.x, Mode::eval);
  CHECK(before.features.to_vector() != after.features.to_vector());
  CHECK(before.buffers["bn.running_var"].to_vector() == std::vector<double>(4, 1.0));
}

TEST_CASE("toy: errors", "[toy]") {
  const Golden golden;
  const auto model = ek::make_model("toy", 3);
  const Params buffers = model->initial_buffers(ek::DType::float64);
  REQUIRE_THROWS_WITH(model->forward(golden.params, buffers,
                                     Tensor::zeros({5, 3}, ek::DType::float64), Mode::train),
                      "toy: x must be [batch, 2] or [batch, 1, 1, 2], got [5, 3]");
  REQUIRE_THROWS_WITH(model->forward(golden.params, buffers,
                                     Tensor::zeros({1, 2}, ek::DType::float64), Mode::train),
                      "bn: training needs more than one value per channel, got [1, 4]");
  REQUIRE_THROWS_WITH(model->forward(Params(), buffers, golden.x, Mode::train),
                      "toy: fc1.weight [4, 2] is missing");
}
