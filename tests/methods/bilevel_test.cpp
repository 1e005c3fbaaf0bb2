// The golden bilevel problem (tests/golden/meta_gradients.json):
// x -> W1 x -> batch norm -> ReLU -> W2 h + b2, class weights from a Difficulty-Net of 3 classes.
#include "methods/meta/bilevel.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/ops.h"
#include "engine/training/optim.h"
#include "models/difficulty_net.h"
#include "tests/catch.h"
#include "tests/methods/golden.h"

using namespace ek;

namespace {

// The golden numbers are float64; sums of a few dozen products keep all but the last digits.
constexpr double golden_tolerance = 1e-9;
// Central differences of losses with a step of 1e-7 / |v|.
constexpr double finite_difference_tolerance = 1e-8;

Tensor to_tensor(const nlohmann::json& json) {
  const std::int64_t rows = std::int64_t(json.size());
  return Tensor::from(numbers(json),
                      json[0].is_array() ? Shape{rows, std::int64_t(json[0].size())} : Shape{rows});
}

Tensor to_labels(const nlohmann::json& json) {
  return Tensor::from(json.get<std::vector<std::int64_t>>(), {std::int64_t(json.size())});
}

double max_error(const Tensor& a, const nlohmann::json& expected) {
  return worst_error(a.to_vector(), numbers(expected), 1);
}

struct Toy {
  nlohmann::json file = golden("meta_gradients.json");
  nlohmann::json inputs = file["inputs"];
  Params phi;
  BilevelProblem problem;
  Tensor labels;
  Tensor accuracy = to_tensor(inputs["class_accuracy"]);
  double lambda = inputs["lam"];

  Toy() {
    std::vector<Params::Entry> entries;
    for (const char* name : {"W1", "gamma", "beta", "W2", "b2"}) {
      entries.push_back({name, to_tensor(inputs["phi"][name])});
    }
    phi = Params(std::move(entries)).flattened();
    const double eps = inputs["bn_eps"];
    auto net = [eps](const Params& p, const Tensor& x) {
      const Tensor y = ops::linear(x, p["W1"], {});
      const Tensor h = ops::batch_norm(y, p["gamma"], p["beta"], {}, {.eps = eps, .relu = true});
      return ops::linear(h, p["W2"], p["b2"]);
    };
    const Tensor x = to_tensor(inputs["train_x"]), meta_x = to_tensor(inputs["meta_x"]);
    const Tensor y = to_labels(inputs["train_y"]), meta_y = to_labels(inputs["meta_y"]);
    problem.train_losses = [=](const Params& p) {
      const Tensor logits = net(p, x);
      return std::pair(ops::softmax_cross_entropy(logits, y), Params());
    };
    problem.meta_loss = [=](const Params& p) {
      return ops::mean(ops::softmax_cross_entropy(net(p, meta_x), meta_y));
    };
    labels = y;
    problem.inner = class_weighted_mean(y);
    problem.step.lr = inputs["alpha"].get<double>();
  }
};

Tensor cotangent(const Toy& toy, const Tensor& weights) {
  return toy.problem.inner.cotangent({}, as_class_weights(weights));
}

Params virtual_step(const Toy& toy, const Linearization<Params>& train, const Tensor& weights) {
  return ek::virtual_step(toy.problem, train, toy.phi, cotangent(toy, weights));
}

MetaGradient meta_gradient(Estimator estimator, const Toy& toy, const Linearization<Params>& train,
                           const Tensor& weights) {
  return ek::meta_gradient(estimator, toy.problem, train, toy.phi, as_class_weights(weights),
                           cotangent(toy, weights));
}

// The Difficulty-Net of a variant ("no_bias", "with_bias") with its golden parameters.
struct Net {
  DifficultyNet net;
  Params theta;
  Net(const nlohmann::json& json, bool bias) : net(3, bias) {
    std::vector<Params::Entry> entries;
    for (int layer = 1; layer <= 3; ++layer) {
      const std::string name = "fc" + std::to_string(layer);
      entries.push_back({name + ".weight", to_tensor(json["V" + std::to_string(layer)])});
      if (bias) entries.push_back({name + ".bias", to_tensor(json["c" + std::to_string(layer)])});
    }
    theta = Params(std::move(entries)).flattened();
  }
};

void require_theta(const Params& theta, const nlohmann::json& expected) {
  for (const auto& [name, tensor] : theta) {
    const std::string golden = std::string(name.ends_with("weight") ? "V" : "c") + name[2];
    INFO(name);
    CHECK(max_error(tensor, expected[golden]) <= golden_tolerance);
  }
}

}  // namespace

TEST_CASE("every estimator gives the golden meta-gradient", "[bilevel]") {
  const Toy toy;
  for (const bool bias : {false, true}) {
    const auto& variant = toy.file["difficulty_net"][bias ? "with_bias" : "no_bias"];
    const auto& expected = variant["expected"];
    const Net net(variant["theta"], bias);
    const Tensor weights = class_weights(net.net.difficulty(net.theta, toy.accuracy));
    CHECK(max_error(weights, expected["w"]) <= golden_tolerance);

    const auto train = linearize(toy.problem.train_losses, toy.phi);
    CHECK(max_error(train.value(), expected["per_sample_loss"]) <= golden_tolerance);
    const Params phi_hat = virtual_step(toy, train, weights);
    for (const auto& [name, tensor] : phi_hat) {
      CHECK(max_error(tensor, expected["phi_hat"][name]) <= golden_tolerance);
    }
    const Params v = grad(toy.problem.meta_loss, phi_hat);
    CHECK(max_error(train.jvp(v), expected["per_sample_jvp"]) <= golden_tolerance);

    for (const Estimator estimator :
         {Estimator::forward, Estimator::reverse, Estimator::finite_difference}) {
      INFO(name_of(estimator));
      const MetaGradient meta = meta_gradient(estimator, toy, train, weights);
      const bool probes = estimator == Estimator::finite_difference;
      CHECK(max_error(meta.outer["class_weights"], expected["dG_dw"]) <=
            (probes ? finite_difference_tolerance : golden_tolerance));
      CHECK(std::abs(meta.meta_loss.item() - double(expected["meta_loss"])) <= golden_tolerance);
    }
    const MetaGradient none = meta_gradient(Estimator::detached, toy, train, weights);
    for (const double value : none.outer["class_weights"].to_vector()) CHECK(value == 0.0);
    CHECK(std::abs(none.meta_loss.item() - double(expected["meta_loss"])) <= golden_tolerance);
  }
}

TEST_CASE("the Difficulty-Net's gradient and one Adam step are the golden ones", "[bilevel]") {
  const Toy toy;
  for (const bool bias : {false, true}) {
    const auto& variant = toy.file["difficulty_net"][bias ? "with_bias" : "no_bias"];
    const auto& expected = variant["expected"];
    for (const Estimator estimator : {Estimator::forward, Estimator::detached}) {
      const bool exact = estimator == Estimator::forward;
      INFO(name_of(estimator) << " bias " << bias);
      Net net(variant["theta"], bias);
      const Tensor weights = class_weights(net.net.difficulty(net.theta, toy.accuracy));
      const auto train = linearize(toy.problem.train_losses, toy.phi);
      const MetaGradient meta = meta_gradient(estimator, toy, train, weights);
      const Params gradient = grad(
          [&](const Params& theta) {
            return difficulty_objective(net.net.difficulty(theta, toy.accuracy), toy.accuracy,
                                        meta.outer["class_weights"], DriverTarget::one_minus_share,
                                        toy.lambda);
          },
          net.theta);
      require_theta(gradient, expected[exact ? "grad_theta_exact" : "grad_theta_detached"]);

      Adam adam({});
      adam.step(net.theta, gradient.flattened(), 1e-3, optimizer_segments(net.theta, 1e-4, {}));
      require_theta(net.theta,
                    expected[exact ? "theta_after_adam_exact" : "theta_after_adam_detached"]);
      if (!exact) continue;
      const Tensor after = class_weights(net.net.difficulty(net.theta, toy.accuracy));
      CHECK(max_error(after, expected["w_after_adam_exact"]) <= golden_tolerance);

      // The real step reuses the recorded forward pass.
      const Params step = train.vjp(cotangent(toy, after)).flattened();
      Params phi = toy.phi.clone();
      Sgd sgd({.momentum = 0.9});
      sgd.step(phi, step, toy.problem.step.lr, optimizer_segments(phi, 1e-4, {}));
      for (const auto& [name, tensor] : phi) {
        CHECK(max_error(tensor, expected["phi_after_real_step"][name]) <= golden_tolerance);
      }
    }
  }
}

TEST_CASE("identities of the meta-gradient hold", "[bilevel]") {
  Toy toy;
  const Tensor ones = Tensor::full({3}, 1, DType::float64);
  const auto train = linearize(toy.problem.train_losses, toy.phi);

  SECTION("scale invariance: sum of d_k dG/dd_k is zero for w = C d / sum d") {
    const auto& variant = toy.file["difficulty_net"]["no_bias"];
    const Net net(variant["theta"], false);
    const Tensor d = net.net.difficulty(net.theta, toy.accuracy);
    const MetaGradient meta = meta_gradient(Estimator::forward, toy, train, class_weights(d));
    const Params by_d = grad(
        [&](const Params& p) {
          return ops::sum(ops::mul(class_weights(p["d"]), meta.outer["class_weights"]));
        },
        Params({{"d", d}}));
    CHECK(max_error(by_d["d"], variant["expected"]["dG_dd"]) <= golden_tolerance);
    const double product = ops::sum(ops::mul(d, by_d["d"])).item();
    CHECK(std::abs(product) <= 1e-12);
  }

  SECTION("equal weights, meta batch = train batch: sum a_i dG/da_i = -lr v . grad L") {
    const auto losses = toy.problem.train_losses;
    toy.problem.meta_loss = [losses](const Params& p) { return ops::mean(losses(p).first); };
    const MetaGradient meta = meta_gradient(Estimator::forward, toy, train, ones);
    const Params gradient = grad(toy.problem.meta_loss, toy.phi);
    const Params v = grad(toy.problem.meta_loss, virtual_step(toy, train, ones));
    const double expected = -toy.problem.step.lr.value() * dot(v, gradient);
    CHECK(std::abs(ops::sum(meta.outer["class_weights"]).item() - expected) <= 1e-12);
  }

  SECTION("a class that is not in the batch gets exactly zero") {
    const Tensor four = Tensor::full({4}, 1, DType::float64);
    for (const Estimator estimator : {Estimator::forward, Estimator::reverse}) {
      const MetaGradient meta = meta_gradient(estimator, toy, train, four);
      CHECK(meta.outer["class_weights"].to_vector()[3] == 0.0);
      CHECK(meta.outer["class_weights"].to_vector()[0] != 0.0);
    }
  }

  SECTION("at a fixed point of evaluation the derivative is proportional to the inner rate") {
    // A linear meta loss has the same v everywhere, so phi_hat may move.
    const Params c = toy.phi.clone();
    toy.problem.meta_loss = [c](const Params& p) {
      Tensor total;
      for (const auto& [name, tensor] : p) {
        const Tensor term = ops::sum(ops::mul(tensor, c[name]));
        total = total ? ops::add(total, term) : term;
      }
      return total;
    };
    const MetaGradient once = meta_gradient(Estimator::forward, toy, train, ones);
    toy.problem.step.lr = toy.problem.step.lr * 2;
    const MetaGradient twice = meta_gradient(Estimator::forward, toy, train, ones);
    const Tensor difference =
        ops::sub(twice.outer["class_weights"], ops::affine(once.outer["class_weights"], 2));
    for (const double value : difference.to_vector()) CHECK(std::abs(value) <= 1e-12);
  }
}

TEST_CASE("estimators are parsed by name", "[bilevel]") {
  CHECK(parse_estimator("finite-difference") == Estimator::finite_difference);
  CHECK_THROWS_WITH(
      parse_estimator("backward"),
      "estimator 'backward': expected forward, reverse, finite-difference or detached");
}
