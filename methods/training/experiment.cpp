#include "methods/training/task.h"

#include "data/pipelines.h"
#include "methods/training/checkpoint_model.h"
#include "models/registry.h"

namespace ek {
namespace {

EvaluationOptions evaluation_for(const Recipe& recipe) {
  const nlohmann::json& groups = recipe.at("eval.groups");
  require(groups.size() == 2 && groups[1] <= groups[0],
          "recipe: eval.groups is {}, expected two numbers of training images, many is above the "
          "first and few below the second",
          groups.dump());
  EvaluationOptions options;
  options.bins = int(recipe.integer("eval.bins"));
  options.many_above = groups[0];
  options.few_below = groups[1];
  return options;
}

std::vector<std::int64_t> labels_of(const ImageSet& images, std::span<const std::int64_t> records) {
  std::vector<std::int64_t> labels;
  for (std::int64_t record : records) labels.push_back(images.labels[std::size_t(record)]);
  return labels;
}

std::unique_ptr<const Model> model_for(const Recipe& recipe, std::int64_t data_classes,
                                       Precision precision) {
  const std::int64_t wanted = recipe.integer("model.num_classes");
  require(wanted == 0 || wanted == data_classes,
          "recipe: model.num_classes is {}, the data has {} classes", wanted, data_classes);
  return make_model(recipe.text("model.name"), data_classes, recipe.text("model.classifier"),
                    recipe.number("model.cosine_scale"), float_products(precision));
}

StreamSpec train_stream_for(const Task& task, std::int64_t batch_size) {
  const Recipe& recipe = task.recipe;
  const ImageSet& images = task.source.train;
  const Streams streams = task.method->streams();
  const std::uint64_t seed = std::uint64_t(recipe.integer("seed"));
  StreamSpec spec;
  spec.images = &images;
  spec.subset = task.split.train_index;
  spec.sampler = make_sampler(streams.train_sampler, labels_of(images, spec.subset),
                              task.source.num_classes(), seed);
  spec.batch_size = batch_size > 0 ? batch_size : recipe.integer("batch_size");
  spec.last_batch = recipe.text("data.last_batch");
  spec.augment = pipeline_spec(recipe.text("data.augment"), recipe.text("data.normalize"),
                               images.height, images.width);
  spec.seed = seed;
  spec.views = streams.train_views;
  spec.dtype = activation_dtype(task.precision);
  spec.device = task.device;
  return spec;
}

// Evaluation transform, reshuffled when exhausted, a fresh pass every training epoch (spec
// methods-reweighting 6.3).
StreamSpec meta_stream_for(const Task& task, std::int64_t meta_batch) {
  StreamSpec spec = task.train_stream;
  spec.subset = task.split.meta_index;
  spec.sampler =
      shuffled_sampler(std::int64_t(spec.subset.size()), spec.seed, Purpose::meta_shuffle);
  spec.batch_size = meta_batch;
  spec.augment = task.eval_transform;
  spec.purpose = Purpose::meta_augment;
  spec.views = 1;
  spec.restart_with = task.plan;
  return spec;
}

}  // namespace

Task::Task(const Recipe& recipe_, const std::string& data, Precision precision_, Device device_,
           std::int64_t batch_size, std::int64_t meta_batch)
    : recipe(recipe_),
      source(load_source(data)),  // seed 0 of synthetic data, so that runs of all seeds compare
      split(make_split(source.train, source.num_classes(), recipe.split())),
      precision(precision_),
      device(device_),
      model(model_for(recipe, source.num_classes(), precision)),
      method(make_method()),
      train_stream(train_stream_for(*this, batch_size)),
      eval_transform(eval_spec(recipe.text("data.augment"), recipe.text("data.normalize"),
                               source.train.height, source.train.width)),
      evaluation(evaluation_for(recipe)),
      schedule(recipe.schedule()),
      plan(batch_plan(train_stream)) {
  require(precision != Precision::tf32 || device != Device{},
          "precision tf32: it is for the devices cuda and simt, the cpu has float32");
  const std::int64_t wanted = method->streams().meta_batch;
  has_meta = wanted > 0;
  if (has_meta) meta_stream = meta_stream_for(*this, meta_batch > 0 ? meta_batch : wanted);
}

std::unique_ptr<Method> Task::make_method() const {
  const std::uint64_t seed = std::uint64_t(recipe.integer("seed"));
  return find_method(recipe.text("method.name"))
      .make({recipe, *model, split, precision, seed, device});
}

double Task::learning_rate(std::int64_t step) const {
  const bool epochs = schedule.unit == ScheduleSpec::Unit::epoch;
  return ek::learning_rate(schedule, epochs ? plan.step(step).epoch : step);
}

std::int64_t Task::total_steps() const {
  const bool epochs = schedule.unit == ScheduleSpec::Unit::epoch;
  return epochs ? plan.first_step_of_epoch(schedule.length) : schedule.length;
}

TrainState Task::initial_state(const std::string& init) const {
  const DType dtype = master_dtype(precision);
  const std::string file = init.empty() ? recipe.text("model.init") : init;
  if (!file.empty()) {
    return load_model_tensors(read_safetensors(file), *model, dtype, file).to(device);
  }
  const std::uint64_t seed = std::uint64_t(recipe.integer("seed"));
  return {model->init(seed, dtype).to(device), model->initial_buffers(dtype).to(device)};
}

PredictOptions Task::predict_options() const {
  return {.chunk = default_chunk(device), .dtype = activation_dtype(precision), .device = device};
}

std::vector<double> Task::class_accuracy(const Predictions& predictions) const {
  std::vector<double> accuracy;
  const Metrics metrics = compute_metrics(predictions, split.class_counts);
  for (const auto& recall : metrics.per_class_recall) accuracy.push_back(recall.value_or(0));
  return accuracy;
}

}  // namespace ek
