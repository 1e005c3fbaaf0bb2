// Difficulty-Net (Algorithm 1 of the paper; spec methods-reweighting 6): a small network turns the
// classes' accuracies into class weights and is trained by the meta-gradient of a virtual step.
#include "models/difficulty_net.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/autodiff/functional.h"
#include "engine/ops.h"
#include "engine/tensor/random.h"
#include "methods/entries.h"
#include "methods/losses/loss.h"
#include "methods/meta/bilevel.h"

namespace ek {
namespace {

class DifficultyNetMethod final : public Method {
 public:
  explicit DifficultyNetMethod(const MethodSetup& setup)
      : model_(setup.model),
        loss_(
            Loss::from_recipe(setup.recipe, setup.split.class_counts, master_dtype(setup.precision))
                .to(setup.device)),
        net_(std::int64_t(setup.split.class_counts.size()), setup.recipe.flag("method.bias")),
        theta_(net_.init(setup.seed, master_dtype(setup.precision)).to(setup.device)),
        adam_(setup.recipe.meta_optimizer()),
        adam_segments_(
            optimizer_segments(theta_, setup.recipe.number("meta_optim.weight_decay"), {})),
        meta_lr_(setup.recipe.number("meta_optim.lr")),
        estimator_(parse_estimator(setup.recipe.text("method.estimator"))),
        lambda_(setup.recipe.number("method.lambda")),
        target_(parse_driver_target(setup.recipe.text("method.driver_target"))),
        refresh_(parse_refresh(setup.recipe.text("method.accuracy_refresh"))),
        meta_batch_(setup.recipe.integer("method.meta_batch")),
        sampler_(setup.recipe.text("data.sampler")),
        accuracy_(Tensor::zeros({net_.inputs()}, master_dtype(setup.precision), setup.device)) {
    require(
        loss_.normalizer() == Normalizer::mean_batch && !loss_.class_weights(),
        "method difficulty-net: it weights the classes itself, so loss.name must carry no class "
        "weights and loss.normalizer must be mean_batch");
    require(
        setup.recipe.groups().empty(),
        "method difficulty-net: its virtual step takes one learning rate for all parameters, so "
        "optim.groups must be empty");
    const bool coarse = setup.precision == Precision::bf16 || setup.precision == Precision::tf32;
    require(estimator_ != Estimator::finite_difference || !coarse,
            "method difficulty-net: estimator finite-difference cannot run in {}, whose rounding "
            "swallows its probes; forward, reverse and detached can",
            name_of(setup.precision));
    require(!setup.split.meta_index.empty(),
            "method difficulty-net: it needs a held-out meta set, data.meta_per_class is 0");
  }

  Streams streams() const override {
    return {.train_sampler = sampler_, .meta_batch = meta_batch_};
  }

  // Class accuracies are measured anew. Before the first epoch nothing is known: they start at
  // zero, as published.
  bool has_work_before(const StepStart& start) const override {
    if (refresh_ == 0) return start.first_of_epoch && start.epoch > 0;
    return start.step > 0 && start.step % refresh_ == 0;
  }

  void work_before(const StepStart&, const ClassAccuracy& class_accuracy) override {
    set_accuracy(Tensor::from(class_accuracy(), accuracy_.shape()));
  }

  std::string why_not_captured() const override {
    if (estimator_ != Estimator::finite_difference) return "";
    return "estimator finite-difference reads the length of its direction on the host";
  }

  StepReport step(TrainState& state, const StepContext& context) override {
    const BilevelProblem problem = make_problem(state, context);
    auto train = linearize(problem.train_losses, state.params);  // forward on the train batch

    StepReport report;
    const DifficultyPass now = net_.pass(theta_, accuracy_);
    const MetaGradient meta =
        meta_direction(problem, train, state.params, now.class_weights, report);
    update_net(now, meta, context.steps_before);  // Eq. 10

    const Tensor weights = net_.pass(theta_, accuracy_).class_weights;
    const Tensor cotangent = loss_cotangent(weights, context.train.labels);
    const Tensor loss = ops::sum(ops::mul(train.value(), cotangent));
    const Params buffers = train.aux().buffers;
    context.apply(std::move(train).vjp(cotangent));  // Eq. 11: backward only
    update_buffers(state, buffers);

    report.insert(report.begin(), {"loss", number(loss)});
    report.push_back({"meta_gradient_norm", [g = meta.class_weights] { return length(g); }});
    report.push_back({"class_weight_min", [weights] { return range(weights).first; }});
    report.push_back({"class_weight_max", [weights] { return range(weights).second; }});
    return report;
  }

  Tensor inference_logits(const TrainState& state, const Tensor& images) const override {
    return model_.forward(state.params, state.buffers, images, Mode::eval).logits;
  }

  NamedState state() const override {
    NamedState named;
    for (const auto& [name, tensor] : theta_) named.emplace_back("net." + name, tensor);
    for (const auto& [name, tensor] : adam_.state())
      named.emplace_back("meta_optim." + name, tensor);
    named.emplace_back("class_accuracy", accuracy_);
    return named;
  }

  void load_state(const NamedState& named) override {
    const NamedState net = with_prefix(named, "net.");
    std::vector<Params::Entry> entries;
    for (const auto& [name, tensor] : net) entries.push_back({name, tensor});
    const Params theta(std::move(entries));
    require_same_structure(theta_, theta, "method difficulty-net: stored state");
    theta_ = theta.to(theta_.dtype()).to(accuracy_.device());
    adam_.load_state(with_prefix(named, "meta_optim."), theta_);
    const NamedState accuracy = with_prefix(named, "class_accuracy");
    require(accuracy.size() == 1 && accuracy[0].second.shape() == accuracy_.shape(),
            "method difficulty-net: the stored state lacks class_accuracy {}",
            accuracy_.shape().str());
    set_accuracy(accuracy[0].second);
  }

  std::vector<std::pair<std::string, std::vector<double>>> class_figures() const override {
    const Tensor difficulty = net_.difficulty(theta_, accuracy_);
    return {{"class_weight", class_weights(difficulty).to_vector()},
            {"difficulty", difficulty.to_vector()},
            {"class_accuracy", accuracy_.to_vector()}};
  }

  Audit audit(const TrainState& state, const StepContext& context) const override;
  std::vector<Derivative> derivatives(const TrainState& state,
                                      const StepContext& context) const override;

 private:
  BilevelProblem make_problem(const TrainState& state, const StepContext& context) const {
    require(context.meta != nullptr, "method difficulty-net: a step without a meta batch");
    auto train_losses = [this, &state, &batch = context.train](const Params& p) {
      ModelOutput out = model_.forward(p, state.buffers, batch.images, Mode::train);
      return std::pair(loss_.per_sample(out.logits, batch.labels),
                       TrainOutputs{out.buffers, out.logits});
    };
    auto meta_loss = [this, &state, &batch = *context.meta](const Params& p) {
      const Tensor logits = model_.forward(p, state.buffers, batch.images, Mode::train).logits;
      return ops::mean(Loss::cross_entropy().per_sample(logits, batch.labels));
    };
    return {train_losses, meta_loss, context.train.labels, context.learning_rate};
  }

  // What arrives at the weights from the meta batch. A detached run skips both passes: they would
  // change no parameter.
  MetaGradient meta_direction(const BilevelProblem& problem,
                              const Linearization<TrainOutputs>& train, const Params& params,
                              const Tensor& weights, StepReport& report) const {
    if (estimator_ == Estimator::detached) {
      return {{}, Tensor::zeros(accuracy_.shape(), accuracy_.dtype(), accuracy_.device())};
    }
    MetaGradient meta = meta_gradient(estimator_, problem, train, params, weights);
    report.push_back({"meta_loss", number(meta.meta_loss)});
    return meta;
  }

  // One Adam step in every step of the run, from the first on: `steps_before` is Adam's count too.
  void update_net(const DifficultyPass& now, const MetaGradient& meta, const Tensor& steps_before) {
    const Params gradient =
        net_.gradient(theta_, accuracy_, now, meta.class_weights, target_, lambda_);
    adam_.step(theta_, gradient, meta_lr_, adam_segments_, steps_before);
  }

  Tensor net_objective(const Params& theta, const MetaGradient& meta) const {
    return difficulty_objective(net_.difficulty(theta, accuracy_), accuracy_, meta.class_weights,
                                target_, lambda_);
  }

  // In place: captured steps read it there.
  void set_accuracy(const Tensor& accuracy) {
    Params mine({{"class_accuracy", accuracy_}});
    assign(mine,
           Params({{"class_accuracy", accuracy.to(accuracy_.dtype())}}).to(accuracy_.device()));
  }

  // "epoch" is 0, "iterations:N" is N.
  static std::int64_t parse_refresh(const std::string& text) {
    if (text == "epoch") return 0;
    constexpr std::string_view prefix = "iterations:";
    std::int64_t every = 0;
    if (text.starts_with(prefix)) {
      const char* begin = text.data() + prefix.size();
      const char* end = text.data() + text.size();
      if (std::from_chars(begin, end, every).ptr != end) every = 0;
    }
    require(every > 0, "method.accuracy_refresh '{}': expected epoch or iterations:N", text);
    return every;
  }

  static double length(const Tensor& x) { return std::sqrt(ops::sum(ops::square(x)).item()); }
  static std::pair<double, double> range(const Tensor& x) {
    const std::vector<double> values = x.to_vector();
    const auto [low, high] = std::ranges::minmax(values);
    return {low, high};
  }

  const Model& model_;
  Loss loss_;
  DifficultyNet net_;
  Params theta_;
  Adam adam_;
  std::vector<kernels::OptimSegment> adam_segments_;
  double meta_lr_;
  Estimator estimator_;
  double lambda_;
  DriverTarget target_;
  std::int64_t refresh_, meta_batch_;
  std::string sampler_;
  Tensor accuracy_;  // [C], of the validation (= meta) set
};

// Each path on its own, so that a cut one cannot hide behind the other.
Audit DifficultyNetMethod::audit(const TrainState& state, const StepContext& context) const {
  DifficultyNetMethod probe = *this;
  // Before the first refresh all accuracies are zero and the driver is blind; any others will do.
  std::vector<double> accuracy;
  for (std::int64_t c = 0; c < net_.inputs(); ++c) {
    accuracy.push_back(0.1 + 0.8 * RandomStream(0, Purpose::test).uniform(std::uint64_t(c)));
  }
  probe.accuracy_ = Tensor::from(accuracy, {net_.inputs()}).to(accuracy_.device());

  const BilevelProblem problem = make_problem(state, context);
  const auto train = linearize(problem.train_losses, state.params);
  auto weights_of = [&](const Params& theta) {
    return class_weights(net_.difficulty(theta, probe.accuracy_));
  };
  auto meta_of_weights = [&](const Tensor& weights) {
    return problem.meta_loss(virtual_step(problem, train, state.params, weights)).item();
  };
  auto driver_of = [&](const Params& theta) {
    return ops::affine(
        driver_loss(net_.difficulty(theta, probe.accuracy_), probe.accuracy_, target_), lambda_);
  };

  const Tensor weights = weights_of(theta_);
  const MetaGradient meta = meta_gradient(estimator_, problem, train, state.params, weights);
  const bool detached = estimator_ == Estimator::detached;
  const Params weight_params({{"class_weights", weights}});
  const Params meta_theta = grad(
      [&](const Params& theta) {
        return ops::sum(ops::mul(weights_of(theta), meta.class_weights));
      },
      theta_);
  const Params total =
      grad([&](const Params& theta) { return probe.net_objective(theta, meta); }, theta_);

  Audit audit;
  audit.lines.push_back(audit_path(
      "meta loss -> class weights",
      [&](const Params& w) { return meta_of_weights(w["class_weights"]); }, weight_params,
      Params({{"class_weights", meta.class_weights}}), detached));
  audit.lines.push_back(audit_path(
      "meta loss -> Difficulty-Net",
      [&](const Params& theta) { return meta_of_weights(weights_of(theta)); }, theta_, meta_theta,
      detached));
  audit.lines.push_back(audit_path(
      "driver loss -> Difficulty-Net", [&](const Params& theta) { return driver_of(theta).item(); },
      theta_, grad(driver_of, theta_), lambda_ == 0));
  if (!detached) {
    audit.lines.push_back(audit_path(
        "both -> Difficulty-Net",
        [&](const Params& theta) {
          return meta_of_weights(weights_of(theta)) + driver_of(theta).item();
        },
        theta_, total));
  }
  return audit;
}

// All of them at the present class weights; the step's own gradient comes after the net's update.
std::vector<Derivative> DifficultyNetMethod::derivatives(const TrainState& state,
                                                         const StepContext& context) const {
  const BilevelProblem problem = make_problem(state, context);
  const auto train = linearize(problem.train_losses, state.params);
  const Tensor weights = class_weights(net_.difficulty(theta_, accuracy_));
  std::vector<Derivative> out;
  out.push_back({"training gradient", train.vjp(loss_cotangent(weights, problem.labels))});
  if (estimator_ == Estimator::detached) return out;

  const MetaGradient meta = meta_gradient(estimator_, problem, train, state.params, weights);
  if (!meta.at_virtual_step.empty()) {
    out.push_back({"v, meta loss at the virtual step", meta.at_virtual_step});
  }
  if (meta.slopes) {
    out.push_back({"slopes of the train losses along v", Params({{"per image", meta.slopes}})});
  }
  out.push_back({"meta-gradient", Params({{"class weights", meta.class_weights}}), true});
  return out;
}

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
          .make = [](const MethodSetup& setup) -> std::unique_ptr<Method> {
            return std::make_unique<DifficultyNetMethod>(setup);
          }};
}

}  // namespace ek
