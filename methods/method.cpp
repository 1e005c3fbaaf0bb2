#include "methods/method.h"

namespace ek {

StreamDecl meta_stream(std::int64_t batch_size) {
  return {.name = "meta",
          .from = Records::held_out,
          .sampler = "shuffled",
          .batch_size = batch_size,
          .views = {"eval"},
          .restarts_with_epoch = true};
}

Outputs predict_model(const Model& model, const State& state, const Tensor& images) {
  const Part& part = state["model"];
  Weights weights(part.params, part.buffers, Statistics::Kind::running);
  return model.forward(weights, images);
}

Loss training_loss(const MethodSetup& setup) {
  return Loss::from_recipe(setup.recipe, setup.split.class_counts, master_dtype(setup.precision),
                           setup.device);
}

OptimizerSpec optimizer_of(const Recipe& recipe) {
  return {.settings = recipe.optimizer(), .weight_decay = recipe.number("optim.weight_decay")};
}

OptimizerSpec meta_optimizer_of(const Recipe& recipe) {
  return {.settings = recipe.meta_optimizer(),
          .weight_decay = recipe.number("meta_optim.weight_decay"),
          .lr = recipe.number("meta_optim.lr")};
}

}  // namespace ek
