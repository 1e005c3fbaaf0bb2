// Plain training: one sampler, one loss (cross-entropy, class-weighted, Balanced Softmax,
// logit-adjusted, ...: methods/losses/loss.h), one SGD step.
#include "engine/autodiff/functional.h"
#include "engine/ops.h"
#include "methods/audit.h"
#include "methods/entries.h"
#include "methods/losses/loss.h"
#include "methods/meta/bilevel.h"
#include "methods/method.h"

namespace ek {
namespace {

class Supervised final : public Method {
 public:
  explicit Supervised(const MethodSetup& setup)
      : model_(setup.model),
        loss_(
            Loss::from_recipe(setup.recipe, setup.split.class_counts, master_dtype(setup.precision))
                .to(setup.device)),
        sampler_(setup.recipe.text("data.sampler")),
        one_(Tensor::full({}, 1, master_dtype(setup.precision), setup.device)) {}

  Streams streams() const override { return {.train_sampler = sampler_}; }

  StepReport step(TrainState& state, const StepContext& context) override {
    auto lin = linearize(objective(state, context.train), state.params);
    const Tensor loss = lin.value();
    const Params buffers = lin.aux().buffers;
    context.apply(std::move(lin).vjp(one_));
    update_buffers(state, buffers);
    return {{"loss", number(loss)}};
  }

  Tensor inference_logits(const TrainState& state, const Tensor& images) const override {
    return model_.forward(state.params, state.buffers, images, Mode::eval).logits;
  }

  Audit audit(const TrainState& state, const StepContext& context) const override {
    const auto f = objective(state, context.train);
    const auto [value, gradient, aux] = value_and_grad(f, state.params);
    auto number = [&](const Params& p) { return f(p).first.item(); };
    return {{audit_path("training loss -> parameters", number, state.params, gradient)}};
  }

  std::vector<Derivative> derivatives(const TrainState& state,
                                      const StepContext& context) const override {
    const auto [value, gradient, aux] =
        value_and_grad(objective(state, context.train), state.params);
    return {{"training gradient", gradient}};
  }

 private:
  std::function<std::pair<Tensor, TrainOutputs>(const Params&)> objective(
      const TrainState& state, const Batch& batch) const {
    return [this, &state, &batch](const Params& p) {
      ModelOutput out = model_.forward(p, state.buffers, batch.images, Mode::train);
      return std::pair(loss_.scalar(out.logits, batch.labels),
                       TrainOutputs{out.buffers, out.logits});
    };
  }

  const Model& model_;
  Loss loss_;
  std::string sampler_;
  Tensor one_;  // the loss's cotangent
};

}  // namespace

MethodEntry supervised_entry() {
  return {.name = "supervised",
          .doc = "plain training with the recipe's loss",
          .make = [](const MethodSetup& setup) -> std::unique_ptr<Method> {
            return std::make_unique<Supervised>(setup);
          }};
}

}  // namespace ek
