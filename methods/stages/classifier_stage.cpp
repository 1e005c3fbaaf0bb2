// Second stages of decoupled training (Kang et al., Decoupling Representation and Classifier for
// Long-Tailed Recognition, ICLR 2020): the classifier alone is trained, on class-balanced batches,
// over the features of a first stage whose network stays as it is.
#include "methods/gradient_method.h"

namespace ek {
namespace {

// The classifier's parameters as patterns. Networks name it "linear" (CIFAR) or "fc".
std::vector<std::string> classifier_patterns(const Model& model) {
  const std::string& last = model.parameters().back().name;  // "linear.bias"
  return {last.substr(0, last.rfind('.'))};
}

class ClassifierStage final : public GradientMethod {
 public:
  explicit ClassifierStage(const MethodSetup& setup)
      : GradientMethod(setup), model_(setup.model), loss_(training_loss(setup)) {
    loss_.require_of_logits("method classifier-stage");
    require(setup.recipe.groups().empty(),
            "method classifier-stage: only the classifier learns, so optim.groups must be empty");
    const std::vector<std::string> classifier = classifier_patterns(setup.model);
    const bool fresh = setup.recipe.text("method.classifier_init") == "random";
    const bool moving = setup.recipe.text("method.batch_norm") == "batch";
    PartDecl model = trained(setup.model, optimizer_of(setup.recipe));
    model.start =
        FromInput{.run = "stage1", .fresh = fresh ? classifier : std::vector<std::string>{}};
    std::get<Learns>(model.motion).only = classifier;
    model.statistics = moving ? Statistics::Kind::batch : Statistics::Kind::running;
    needs_ = {.inputs = {{.name = "stage1", .same_model = true}},
              .streams = {{.name = "train", .sampler = setup.recipe.text("method.sampler")}},
              .parts = {model}};
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

MethodEntry classifier_stage_entry() {
  return {.name = "classifier-stage",
          .doc = "the classifier alone, on class-balanced batches, from the run --stage1 RUN (cRT)",
          .keys = {{"method.classifier_init",
                    "random",
                    "where the classifier starts",
                    {"random", "stage1"}},
                   {"method.batch_norm",
                    "running",
                    "statistics of the frozen network: the first stage's, or the batch's, towards "
                    "which the running ones move",
                    {"running", "batch"}},
                   {"method.sampler", "class-balanced", "order of the training images"}},
          .make = [](const MethodSetup& setup) -> std::unique_ptr<const Method> {
            return std::make_unique<ClassifierStage>(setup);
          }};
}

}  // namespace ek
