// DiVE: a student learns from Balanced Softmax and from the flattened outputs of a teacher, a run
// that was trained before (losses/dive.cpp; docs/losses.md).
#include "methods/gradient_method.h"

namespace ek {
namespace {

class Dive final : public GradientMethod {
 public:
  explicit Dive(const MethodSetup& setup)
      : GradientMethod(setup),
        model_(setup.model),
        loss_(training_loss(setup)),
        needs_{.inputs = {{.name = "teacher"}},
               .streams = {{.name = "train"}},
               .parts = {trained(setup.model, optimizer_of(setup.recipe), setup.recipe.groups())}} {
    require(loss_.entry().name == "dive", "method dive: loss.name is {}, dive expected",
            loss_.entry().name);
  }

  MethodNeeds needs() const override { return needs_; }

  Outputs infer(const State& state, const Tensor& images) const override {
    return predict_model(model_, state, images);
  }

 protected:
  // Both see the same augmented images; the teacher with its running statistics.
  Objective objective(Pass& pass, const Step& step) const override {
    const Batch& batch = step["train"];
    const Outputs student = model_.forward(pass.weights("model"), batch.images());
    return {loss_.scalar({{"student_logits", student.logits()},
                          {"teacher_logits", pass.infer("teacher", batch.images()).logits()},
                          {"labels", batch.labels}})};
  }

 private:
  const Model& model_;
  Loss loss_;
  MethodNeeds needs_;
};

}  // namespace

MethodEntry dive_method_entry() {
  return {.name = "dive",
          .doc = "distillation of virtual examples from the run --input teacher=RUN",
          .make = [](const MethodSetup& setup) -> std::unique_ptr<const Method> {
            return std::make_unique<Dive>(setup);
          }};
}

}  // namespace ek
