#pragma once
#include <memory>

#include "data/images/dataset.h"
#include "data/loader.h"
#include "data/longtail.h"
#include "engine/training/schedule.h"
#include "methods/evaluation/metrics.h"
#include "methods/evaluation/predict.h"
#include "methods/method.h"
#include "methods/recipes/recipe.h"
#include "models/model.h"

namespace ek {

// Everything that a recipe and a data set determine before the first step: the split, the model,
// the method, its streams and the schedule. Shared by training, auditing and benchmarking.
struct Task {
  // Everything that training touches lies on `device`. `batch_size` and `meta_batch` replace the
  // recipe's where positive (an audit is tiny).
  Task(const Recipe& recipe, const std::string& data, Precision precision, Device device = {},
       std::int64_t batch_size = 0, std::int64_t meta_batch = 0);

  double learning_rate(std::int64_t step) const;
  std::int64_t total_steps() const;
  // The weights of the safetensors file `init`, else of the recipe's model.init, else random; in
  // the master dtype, on the device.
  TrainState initial_state(const std::string& init = "") const;
  // A method of the recipe's kind in its first state.
  std::unique_ptr<Method> make_method() const;
  // For predict(), with the logits of `method`.
  PredictOptions predict_options() const;
  // Fraction of right predictions per class.
  std::vector<double> class_accuracy(const Predictions& predictions) const;

  Recipe recipe;
  DataSource source;
  Split split;
  Precision precision;
  Device device;
  std::unique_ptr<const Model> model;
  std::unique_ptr<Method> method;
  StreamSpec train_stream;
  bool has_meta = false;
  StreamSpec meta_stream;
  kernels::AugmentSpec eval_transform;
  EvaluationOptions evaluation;
  ScheduleSpec schedule;
  BatchPlan plan;
};

}  // namespace ek
