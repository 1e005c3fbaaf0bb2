// Plain training: one sampler, one loss (cross-entropy, class-weighted, Balanced Softmax,
// logit-adjusted, ...: methods/losses/loss.h), one step of the optimiser.
#include "methods/gradient_method.h"
#include "methods/losses/loss.h"

namespace ek {
namespace {

class Supervised final : public GradientMethod {
 public:
  explicit Supervised(const MethodSetup& setup)
      : GradientMethod(setup),
        model_(setup.model),
        loss_(training_loss(setup)),
        needs_{.streams = {{.name = "train"}},
               .parts = {trained(setup.model, optimizer_of(setup.recipe), setup.recipe.groups())}} {
    loss_.require_of_logits("method supervised");
  }

  MethodNeeds needs() const override { return needs_; }

  Outputs infer(const State& state, const Tensor& images) const override {
    return predict_model(model_, state, images);
  }

 protected:
  Objective objective(Pass& pass, const Step& step) const override {
    const Batch& batch = step["train"];
    const Outputs out = model_.forward(pass.weights("model"), batch.images());
    return {loss_.scalar(out.logits(), batch.labels)};
  }

 private:
  const Model& model_;
  Loss loss_;
  MethodNeeds needs_;
};

}  // namespace

MethodEntry supervised_entry() {
  return {.name = "supervised",
          .doc = "plain training with the recipe's loss",
          .make = [](const MethodSetup& setup) -> std::unique_ptr<const Method> {
            return std::make_unique<Supervised>(setup);
          }};
}

}  // namespace ek
