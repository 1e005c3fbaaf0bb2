#include "methods/session/experiment.h"

#include <algorithm>
#include <utility>

#include "data/pipelines.h"
#include "engine/tensor/random.h"
#include "methods/session/checkpoint.h"
#include "methods/session/model_of.h"
#include "methods/session/trained_run.h"

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

// Streams beside the first one draw their own random numbers, also from the same records.
std::uint64_t seed_of_stream(std::uint64_t seed, const StreamDecl& decl, std::size_t index) {
  if (index == 0 || decl.from == Records::held_out) return seed;
  const auto block = RandomStream(seed, Purpose::sampler, 0, std::uint32_t(index)).block(0);
  return std::uint64_t(block[0]) << 32 | block[1];
}

kernels::AugmentSpec pipeline_of(const Recipe& recipe, const std::string& view,
                                 const ImageSet& images) {
  const std::string own = recipe.text("data.augment"), normalize = recipe.text("data.normalize");
  if (view == "eval") return eval_spec(own, normalize, images.height, images.width);
  return pipeline_spec(view.empty() ? own : view, normalize, images.height, images.width);
}

// What a method says must agree between its run and the runs that it starts from.
void check_inputs(const Experiment& experiment) {
  const std::string method = experiment.recipe.text("method.name");
  for (const auto& given : experiment.inputs.runs()) {
    const auto declared =
        std::ranges::find(experiment.needs.inputs, given->name(), &InputDecl::name);
    require(declared != experiment.needs.inputs.end(), "--input {}: method {} takes no such run",
            given->name(), method);
  }
  for (const InputDecl& declared : experiment.needs.inputs) {
    const auto& run = dynamic_cast<const TrainedRun&>(experiment.inputs[declared.name]);
    require_same_data(run.manifest().data, run.source(), identity_of(experiment.source),
                      "--input " + declared.name, "");
    const std::string split = fmt::format("{:016x}", experiment.split.hash);
    require(!declared.same_split || run.manifest().hash == split,
            "--input {}: {} was trained on split {}, this run trains on {}", declared.name,
            run.source(), run.manifest().hash, split);
    require(run.model().num_classes() == experiment.model->num_classes(),
            "--input {}: {} has {} classes, this run {}", declared.name, run.source(),
            run.model().num_classes(), experiment.model->num_classes());
    require(!declared.same_model || run.model().name() == experiment.model->name(),
            "--input {}: {} is a {}, model.name is {}", declared.name, run.source(),
            run.model().name(), experiment.model->name());
  }
}

}  // namespace

StreamSpec Experiment::stream_spec(std::size_t index, std::int64_t tiny) const {
  const StreamDecl& decl = needs.streams[index];
  const bool held_out = decl.from == Records::held_out;
  const std::uint64_t seed = seed_of_stream(recipe.seed(), decl, index);
  StreamSpec spec;
  spec.images = &source.train;
  spec.subset = held_out ? split.meta_index : split.train_index;
  require(!spec.subset.empty(), "stream {}: no images are {}", decl.name,
          held_out ? "held out (data.meta_per_class)" : "in the training split");
  const std::string sampler = decl.sampler.empty() ? recipe.text("data.sampler") : decl.sampler;
  spec.sampler =
      held_out && sampler == "shuffled"
          ? shuffled_sampler(std::int64_t(spec.subset.size()), seed, Purpose::meta_shuffle)
          : make_sampler(sampler, labels_of(source.train, spec.subset), source.num_classes(), seed);
  spec.batch_size = tiny > 0              ? tiny
                    : decl.batch_size > 0 ? decl.batch_size
                                          : recipe.integer("batch_size");
  spec.last_batch = recipe.text("data.last_batch");
  spec.views.clear();
  for (const std::string& view : decl.views) {
    spec.views.push_back(pipeline_of(recipe, view, source.train));
  }
  spec.seed = seed;
  if (held_out) spec.purpose = Purpose::meta_augment;
  spec.dtype = activation_dtype(precision);
  spec.device = device;
  if (decl.restarts_with_epoch) {
    require(index > 0,
            "stream {}: the first stream decides how long an epoch is, so it cannot "
            "restart with one",
            decl.name);
    spec.restart_with = batch_plan(streams[0].spec);
  }
  return spec;
}

Experiment::Experiment(const Recipe& recipe_, const std::string& data, Precision precision_,
                       Device device_, Inputs inputs_, std::int64_t tiny)
    : recipe(recipe_),
      source(load_source(data)),  // seed 0 of synthetic data, so that runs of all seeds compare
      split(make_split(source.train, source.num_classes(), recipe.split())),
      precision(precision_),
      device(device_),
      inputs(std::move(inputs_)),
      model(model_of(recipe, source.num_classes(), precision)),
      method(find_method(recipe.text("method.name"))
                 .make({recipe, *model, split, precision, recipe.seed(), device, inputs})),
      needs(method->needs()),
      eval_transform(eval_spec(recipe.text("data.augment"), recipe.text("data.normalize"),
                               source.train.height, source.train.width)),
      evaluation(evaluation_for(recipe)),
      schedule(recipe.schedule()),
      plan(1, 1, LastBatch::wrap) {
  require(precision != Precision::tf32 || device != Device{},
          "precision tf32: it is for the devices cuda and simt, the cpu has float32");
  check_inputs(*this);
  require(!needs.streams.empty(), "method {}: it declares no stream", recipe.text("method.name"));
  for (std::size_t i = 0; i < needs.streams.size(); ++i) {
    streams.push_back({needs.streams[i].name, stream_spec(i, tiny)});
  }
  plan = batch_plan(streams[0].spec);
}

double Experiment::learning_rate(std::int64_t step) const {
  const bool epochs = schedule.unit == ScheduleSpec::Unit::epoch;
  return ek::learning_rate(schedule, epochs ? plan.step(step).epoch : step);
}

std::int64_t Experiment::total_steps() const {
  const bool epochs = schedule.unit == ScheduleSpec::Unit::epoch;
  return epochs ? plan.first_step_of_epoch(schedule.length) : schedule.length;
}

StepStart Experiment::start_of(std::int64_t step) const {
  const StepDraw draw = plan.step(step);
  return {step, draw.epoch, draw.first_of_epoch};
}

State Experiment::initial_state(const std::string& init, bool new_head) const {
  State state(needs.parts, recipe.seed(), master_dtype(precision), device, inputs);
  const std::string given = init.empty() ? recipe.text("model.init") : init;
  require(!new_head || !given.empty(), "--init-head new: goes with --init or model.init");
  if (given.empty()) return state;
  const std::string file = weights_file(given);
  load_model(state, read_safetensors(file), *model, file, new_head);
  return state;
}

PredictOptions Experiment::predict_options() const {
  return {.chunk = default_chunk(device), .dtype = activation_dtype(precision), .device = device};
}

std::vector<double> Experiment::class_accuracy(const Predictions& predictions) const {
  std::vector<double> accuracy;
  const Metrics metrics = compute_metrics(predictions, split.class_counts);
  for (const auto& recall : metrics.per_class_recall) accuracy.push_back(recall.value_or(0));
  return accuracy;
}

}  // namespace ek
