// The losses of docs/losses.md through the one fused kernel, against golden numbers.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/catch.h"
#include "tests/kernels/numbers.h"
#include "tests/kernels/softmax_run.h"
#include "tests/paths.h"

using namespace ek::test;
using nlohmann::json;

namespace {

// Spec methods-reweighting 1: relative 1e-9 in double and 2e-5 in float, the latter with an
// absolute floor of 1e-6. Ours in double is tighter, 1e-12.
template <class T>
constexpr double kTolerance = sizeof(T) == 8 ? 1e-9 : 2e-5;
template <class T>
constexpr double kFloor = sizeof(T) == 8 ? 1e-12 / 1e-9 : 1e-6 / 2e-5;

Numbers flattened(const json& rows) {
  Numbers flat;
  for (const json& row : rows) flat.insert(flat.end(), row.begin(), row.end());
  return flat;
}

// effective-number weights, rescaled to sum C
Numbers class_balanced(const Numbers& counts, double beta) {
  Numbers w;
  for (double n : counts) w.push_back((1 - beta) / -std::expm1(n * std::log(beta)));
  const double sum = std::accumulate(w.begin(), w.end(), 0.0);
  for (double& x : w) x *= double(counts.size()) / sum;
  return w;
}

// label-aware smoothing, concave
Numbers label_aware_targets(const Case& c, const json& params, bool paper) {
  const double head = params["smooth_head"], tail = params["smooth_tail"];
  const auto [low, high] = std::minmax_element(c.counts.begin(), c.counts.end());
  const double classes = double(c.classes());
  Numbers q;
  for (std::int64_t y : c.labels) {
    const double r = (c.counts[y] - *low) / (*high - *low);
    const double eps = tail + (head - tail) * std::sin(std::acos(-1.0) * r / 2);
    for (std::int64_t k = 0; k < c.classes(); ++k) {
      const double rest = paper ? (k == y ? 0 : eps / (classes - 1)) : eps / classes;
      q.push_back(rest + (k == y ? 1 - eps : 0));
    }
  }
  return q;
}

// The instance that a golden case names; false for losses that are none of the fused kernel.
bool instance_of(const std::string& name, const json& params, const Case& c, Instance& out) {
  const bool ldam = name.rfind("ldam", 0) == 0;
  if (name == "ce" || name == "seql_off") return true;
  if (name == "las_code" || name == "las_paper") {
    out.targets = label_aware_targets(c, params, name == "las_paper");
    return true;
  }
  if (name == "balanced_softmax" || name == "logit_adjusted" ||
      name == "difficulty_weighted_balanced_softmax") {
    const double tau = name == "logit_adjusted" ? params["tau"].get<double>() : 1.0;
    for (double n : c.counts) out.offset.push_back(tau * std::log(n / c.total()));
    if (params.contains("weights")) out.class_weight = class_balanced(c.counts, 0.999);
    return true;
  }
  if (name == "seql") {
    for (std::int64_t y : c.labels) {
      for (std::int64_t k = 0; k < c.classes(); ++k) {
        const bool tail = c.counts[k] / c.total() < params["lam"].get<double>();
        out.mask.push_back(!tail || k == y);
      }
    }
    return true;
  }
  if (ldam) {
    out.scale = params["s"];
    for (double n : c.counts) out.margin.push_back(std::pow(n, -0.25));
    const double largest = *std::max_element(out.margin.begin(), out.margin.end());
    for (double& m : out.margin) m *= params["max_m"].get<double>() / largest;
  }
  if (ldam || name.rfind("weighted_ce", 0) == 0) {
    if (params.contains("beta")) out.class_weight = class_balanced(c.counts, params["beta"]);
    out.mean_weighted = params.value("reduction", "") == "mean_weighted";
    return true;
  }
  return false;
}

// A golden case holds weighted terms a_i l_i, their sum over the normaliser, and its gradient.
template <class T>
void check_golden(const json& golden, const Case& c, const Instance& instance) {
  CAPTURE(golden["name"].get<std::string>(), golden["case"].get<std::string>(), sizeof(T));
  Numbers weight(c.labels.size(), 1.0);
  for (std::size_t i = 0; i < weight.size() && !instance.class_weight.empty(); ++i) {
    weight[i] = instance.class_weight[c.labels[i]];
  }
  const double divisor = instance.mean_weighted ? std::accumulate(weight.begin(), weight.end(), 0.0)
                                                : double(c.rows());
  const auto result = run<T>(c, instance, divisor);
  Numbers terms;
  for (std::size_t i = 0; i < weight.size(); ++i) terms.push_back(weight[i] * result.losses[i]);
  const Numbers loss{std::accumulate(terms.begin(), terms.end(), 0.0) / divisor};
  const json& expected = golden["expected"];
  CHECK(max_error(terms, expected["terms"].get<Numbers>(), kFloor<T>) <= kTolerance<T>);
  CHECK(max_error(loss, Numbers{expected["loss"].get<double>()}, kFloor<T>) <= kTolerance<T>);
  CHECK(max_error(result.weighted, flattened(expected["grad_logits"]), kFloor<T>) <= kTolerance<T>);
}

}  // namespace

TEST_CASE("softmax_loss reproduces the golden losses") {
  std::ifstream file(source_dir() + "/tests/golden/losses.json");
  const json golden = json::parse(file);
  int found = 0;
  for (const json& entry : golden["cases"]) {
    const json& inputs = entry["inputs"];
    const Case c{flattened(inputs["logits"]), inputs["class_counts"].get<Numbers>(),
                 inputs["labels"].get<std::vector<std::int64_t>>()};
    Instance instance;
    if (!instance_of(entry["name"], entry["params"], c, instance)) continue;
    ++found;
    check_golden<double>(entry, c, instance);
    check_golden<float>(entry, c, instance);
  }
  REQUIRE(found == 32);  // 6 methods on 3 cases, 6 on 2, LDAM with and without DRW on cosines
}
