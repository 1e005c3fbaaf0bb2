// The losses of tests/golden/losses.json that are instances of the fused loss, through
// the op: per-sample values, and the gradient of their mean.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numbers>
#include <numeric>

#include "engine/ops.h"
#include "tests/catch.h"
#include "tests/engine/gradcheck.h"
#include "tests/paths.h"

using ek::DType;
using ek::Tensor;
using ek::Tensors;
using nlohmann::json;
namespace ops = ek::ops;

namespace {

Tensor vector_of(const json& values) {
  auto v = values.get<std::vector<double>>();
  return Tensor::from(v, {std::int64_t(v.size())});
}

Tensor matrix_of(const json& rows) {
  std::vector<double> all;
  for (const json& row : rows) {
    for (const json& value : row) all.push_back(value.get<double>());
  }
  return Tensor::from(all, {std::int64_t(rows.size()), std::int64_t(rows.at(0).size())});
}

Tensor offset_of(const std::vector<double>& counts, double tau, double divisor) {
  std::vector<double> offset;
  for (double n : counts) offset.push_back(tau * std::log(n / divisor));
  return Tensor::from(offset, {std::int64_t(offset.size())});
}

Tensor ldam_margin(const std::vector<double>& counts, double most) {
  std::vector<double> margin;
  const double smallest = *std::ranges::min_element(counts);
  for (double n : counts) margin.push_back(most * std::pow(smallest / n, 0.25));
  return Tensor::from(margin, {std::int64_t(margin.size())});
}

// Label-aware smoothing, concave.
Tensor las_targets(const json& golden, const std::vector<double>& counts, bool paper) {
  const json& p = golden["params"];
  const double head = p["smooth_head"], tail = p["smooth_tail"];
  const auto [least, most] = std::ranges::minmax(counts);
  const auto labels = golden["inputs"]["labels"].get<std::vector<std::int64_t>>();
  const std::size_t classes = counts.size();
  std::vector<double> q;
  for (std::int64_t label : labels) {
    const double r = (counts[std::size_t(label)] - least) / (most - least);
    const double e = tail + (head - tail) * std::sin(std::numbers::pi * r / 2);
    for (std::size_t k = 0; k < classes; ++k) {
      const bool hit = std::int64_t(k) == label;
      const double others = e / double(paper ? classes - 1 : classes);
      q.push_back(hit ? (paper ? 1 - e : 1 - e + others) : others);
    }
  }
  return Tensor::from(q, {std::int64_t(labels.size()), std::int64_t(classes)});
}

// Softmax equalisation with beta = 1: tail classes other than the label are left out.
Tensor seql_mask(const json& golden, const std::vector<double>& counts) {
  const double total = std::reduce(counts.begin(), counts.end());
  const double lambda = golden["params"]["lam"], beta = golden["params"]["beta"];
  const auto labels = golden["inputs"]["labels"].get<std::vector<std::int64_t>>();
  std::vector<std::uint8_t> mask;
  for (std::int64_t label : labels) {
    for (std::size_t k = 0; k < counts.size(); ++k) {
      const bool tail = counts[k] / total < lambda && std::int64_t(k) != label;
      mask.push_back(!(tail && beta == 1));
    }
  }
  return Tensor::from(mask, {std::int64_t(labels.size()), std::int64_t(counts.size())});
}

// Fills in the options of a golden case; false if it is no plain instance of the fused loss.
bool options_of(const json& golden, ops::SoftmaxLossOptions& options) {
  const std::string name = golden["name"];
  const auto counts = golden["inputs"]["class_counts"].get<std::vector<double>>();
  const double total = std::reduce(counts.begin(), counts.end());
  if (name == "ce") return true;
  if (name == "balanced_softmax") {
    options.offset = offset_of(counts, 1, 1);
  } else if (name == "logit_adjusted") {
    options.offset = offset_of(counts, golden["params"]["tau"], total);
  } else if (name == "las_code" || name == "las_paper") {
    options.targets = las_targets(golden, counts, name == "las_paper");
  } else if (name == "seql" || name == "seql_off") {
    options.mask = seql_mask(golden, counts);
  } else if (name == "ldam" || name == "ldam_s1") {
    options.scale = golden["params"]["s"];
    options.margin = ldam_margin(counts, golden["params"]["max_m"]);
  } else {
    return false;
  }
  return true;
}

// The golden files' own rule: relative 1e-9, with a floor for entries that are zero but for
// rounding.
void check_close(const Tensor& got, const Tensor& expected) {
  REQUIRE(got.shape() == expected.shape());
  std::vector<double> a = got.to_vector(), b = expected.to_vector();
  for (std::size_t i = 0; i < a.size(); ++i) {
    INFO("element " << i << ": " << a[i] << ", expected " << b[i]);
    CHECK(std::abs(a[i] - b[i]) <= 1e-9 * std::abs(b[i]) + 1e-15);
  }
}

}  // namespace

TEST_CASE("softmax_cross_entropy gives the golden losses and gradients") {
  std::ifstream file(source_dir() + "/tests/golden/losses.json");
  REQUIRE(file.good());
  const json all = json::parse(file);
  int compared = 0;
  for (const json& golden : all["cases"]) {
    ops::SoftmaxLossOptions options;
    if (!options_of(golden, options)) continue;
    ++compared;
    INFO(golden["name"].get<std::string>() << ", case " << golden["case"].get<std::string>());
    const Tensor logits = matrix_of(golden["inputs"]["logits"]);
    const Tensor labels = index_tensor(golden["inputs"]["labels"]);
    ek::LinearMap map = ek::linearize_tensors(
        [&](const Tensors& in) {
          return Tensors{ops::softmax_cross_entropy(in[0], labels, options)};
        },
        {logits});
    const Tensor& losses = map.outputs()[0];
    check_close(losses, vector_of(golden["expected"]["terms"]));
    const Tensor mean = Tensor::full(losses.shape(), 1.0 / double(losses.numel()), DType::float64);
    check_close(map.vjp({mean})[0], matrix_of(golden["expected"]["grad_logits"]));
  }
  CHECK(compared == 23);
}
