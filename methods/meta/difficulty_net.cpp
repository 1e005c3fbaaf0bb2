// Difficulty-Net (Algorithm 1 of the paper; docs/meta-gradient.md): a small network turns the
// classes' accuracies into class weights and is trained by the meta-gradient of a virtual step.
#include "models/difficulty_net.h"

#include <algorithm>

#include "engine/ops.h"
#include "engine/tensor/random.h"
#include "methods/losses/loss.h"
#include "methods/meta/accuracy_refresh.h"
#include "methods/meta/bilevel_method.h"

namespace ek {
namespace {

class DifficultyNetMethod final : public BilevelMethod {
 public:
  explicit DifficultyNetMethod(const MethodSetup& setup)
      : BilevelMethod(setup, parse_estimator(setup.recipe.text("method.estimator")), "net"),
        loss_(training_loss(setup)),
        net_(std::int64_t(setup.split.class_counts.size()), setup.recipe.flag("method.bias")),
        lambda_(setup.recipe.number("method.lambda")),
        target_(parse_driver_target(setup.recipe.text("method.driver_target"))),
        refresh_(setup.recipe.text("method.accuracy_refresh")) {
    loss_.require_of_logits("method difficulty-net");
    require(
        loss_.entry().kind == LossKind::per_sample &&
            loss_.normalizer() == Normalizer::mean_batch && !loss_.class_weights(),
        "method difficulty-net: it weights the classes itself, so loss.name must carry no class "
        "weights and loss.normalizer must be mean_batch");
    require(!setup.split.meta_index.empty(),
            "method difficulty-net: it needs a held-out meta set, data.meta_per_class is 0");
    needs_.streams = {{.name = "train"}, meta_stream(setup.recipe.integer("method.meta_batch"))};
    needs_.parts = {trained(setup.model, optimizer_of(setup.recipe), setup.recipe.groups()),
                    {.name = "net",
                     .params = net_.parameters(),
                     .start = FromSeed{DifficultyNet::init_view},
                     .motion = Learns{meta_optimizer_of(setup.recipe)},
                     .at_inference = false},
                    table("class_accuracy", {net_.inputs()})};
  }

  MethodNeeds needs() const override { return needs_; }

  bool pauses_before(const StepStart& start) const override { return refresh_.is_due(start); }
  void between(State& state, const StepStart&, Host& host) const override {
    state.write("class_accuracy", Tensor::from(host.class_accuracy(), {net_.inputs()}));
  }

  Outputs infer(const State& state, const Tensor& images) const override {
    return predict_model(model(), state, images);
  }

  std::vector<Figure> figures(const State& state) const override {
    const Tensor difficulty = net_.difficulty(state.params("net"), accuracy(state));
    return {{"class_weight", class_weights(difficulty).to_vector()},
            {"difficulty", difficulty.to_vector()},
            {"class_accuracy", accuracy(state).to_vector()}};
  }

 protected:
  Tensor losses(Weights& weights, const Step& step) const override {
    const Batch& batch = step["train"];
    return loss_.per_sample(model().forward(weights, batch.images()).logits(), batch.labels);
  }
  Tensor meta_loss(Weights& weights, const Step& step) const override {
    const Batch& batch = step["meta"];
    const Tensor logits = model().forward(weights, batch.images()).logits();
    return ops::mean(Loss::cross_entropy().per_sample(logits, batch.labels));
  }
  InnerObjective inner(const State&, const Step& step) const override {
    return class_weighted_mean(step["train"].labels);
  }
  Tensor regulariser(const Params& theta, const State& state) const override {
    if (lambda_ == 0) return {};
    return ops::affine(
        driver_loss(net_.difficulty(theta, accuracy(state)), accuracy(state), target_), lambda_);
  }
  std::string regulariser_name() const override { return "driver loss"; }

  Params seen(const Params& theta, const State& state) const override {
    return as_class_weights(class_weights(net_.difficulty(theta, accuracy(state))));
  }
  std::string seen_name() const override { return "class weights"; }

  // Both ways through the net as whole kernels (models/difficulty_pass.cpp).
  Seen see(const State& state) const override {
    auto pass =
        std::make_shared<const DifficultyPass>(net_.pass(state.params("net"), accuracy(state)));
    return {as_class_weights(pass->class_weights), pass};
  }
  Params pulled_back(const State& state, const Seen& seen,
                     const Params& seen_gradient) const override {
    return net_.gradient(state.params("net"), accuracy(state),
                         *static_cast<const DifficultyPass*>(seen.kept.get()),
                         seen_gradient["class_weights"], target_, lambda_);
  }

  // Before the first refresh all accuracies are zero and the driver is blind; any others will do.
  void prepare_audit(State& state) const override {
    std::vector<double> any;
    for (std::int64_t c = 0; c < net_.inputs(); ++c) {
      any.push_back(0.1 + 0.8 * RandomStream(0, Purpose::test).uniform(std::uint64_t(c)));
    }
    state.write("class_accuracy", Tensor::from(any, {net_.inputs()}));
  }

  void add_numbers(Report& report, const Params& after) const override {
    const auto range = [weights = after["class_weights"]] {
      return std::ranges::minmax(weights.to_vector());
    };
    report.numbers.emplace_back("class_weight_min", [range] { return range().min; });
    report.numbers.emplace_back("class_weight_max", [range] { return range().max; });
  }

 private:
  static const Tensor& accuracy(const State& state) { return state.tensor("class_accuracy"); }

  Loss loss_;
  DifficultyNet net_;
  double lambda_;
  DriverTarget target_;
  AccuracyRefresh refresh_;
  MethodNeeds needs_;
};

}  // namespace

MethodEntry difficulty_net_entry() {
  return {.name = "difficulty-net",
          .doc = "class weights from a Difficulty-Net trained by the exact meta-gradient",
          .keys =
              {
                  {"method.estimator",
                   "forward",
                   "how the meta-gradient is found",
                   {"forward", "reverse", "finite-difference", "detached"}},
                  {"method.lambda", 0.3, "weight of the driver loss", {}, 0},
                  {"method.driver_target",
                   "one_minus_share",
                   "what the driver loss pulls difficulty to",
                   {"one_minus_share", "one_minus_accuracy"}},
                  {"method.accuracy_refresh", "epoch",
                   "when class accuracies are measured anew: epoch or iterations:N"},
                  {"method.meta_batch", 100, "images of a meta batch", {}, 1},
                  {"method.bias", true, "biases in the Difficulty-Net"},
              },
          .published = {{"method", {{"bias", false}, {"estimator", "detached"}}},
                        {"meta_optim", {{"lr", 1e-5}}},
                        {"data",
                         {{"meta_per_class", 25}, {"subset", "first"}, {"last_batch", "keep"}}}},
          .needs_meta = true,
          .make = [](const MethodSetup& setup) -> std::unique_ptr<const Method> {
            return std::make_unique<DifficultyNetMethod>(setup);
          }};
}

}  // namespace ek
