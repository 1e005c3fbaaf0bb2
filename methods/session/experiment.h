#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

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

// A stream of a method over the data set.
struct NamedStream {
  std::string name;
  StreamSpec spec;
};

// Everything that a recipe, a data set and input runs determine before the first step: the split,
// the model, the method, its streams and the schedule. A description, which no step changes; what
// does change is a State. Its parts refer to each other, so it stays where it is.
class Experiment {
 public:
  // Everything that training touches lies on `device`. Where `tiny` is positive, every stream has
  // batches of so many images (an audit's).
  Experiment(const Recipe& recipe, const std::string& data, Precision precision, Device device = {},
             Inputs inputs = {}, std::int64_t tiny = 0);
  Experiment(const Experiment&) = delete;
  Experiment& operator=(const Experiment&) = delete;

  double learning_rate(std::int64_t step) const;
  std::int64_t total_steps() const;
  StepStart start_of(std::int64_t step) const;
  // The parts that the method declares, in their first state, in the master dtype, on the device;
  // the part "model" with the weights of the safetensors file `init` or the recipe's model.init
  // where one is named.
  State initial_state(const std::string& init = "", bool new_head = false) const;
  // For predict(), with the logits of the method.
  PredictOptions predict_options() const;
  // Fraction of right predictions per class.
  std::vector<double> class_accuracy(const Predictions& predictions) const;

  Recipe recipe;
  DataSource source;
  Split split;
  Precision precision;
  Device device;
  Inputs inputs;
  std::unique_ptr<const Model> model;
  std::unique_ptr<const Method> method;
  MethodNeeds needs;
  std::vector<NamedStream> streams;  // as the method declared them
  kernels::AugmentSpec eval_transform;
  EvaluationOptions evaluation;
  ScheduleSpec schedule;
  BatchPlan plan;  // of the first stream

 private:
  StreamSpec stream_spec(std::size_t index, std::int64_t tiny) const;
};

}  // namespace ek
