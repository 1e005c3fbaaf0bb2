#include "methods/training/step_runner.h"

#include <algorithm>
#include <utility>

#include "engine/training/weight_packs.h"

namespace ek {

StepRunner::StepRunner(const Task& task, TrainState& state, Optimizer& optimizer,
                       std::span<const kernels::OptimSegment> segments, std::int64_t first_step,
                       const Options& options)
    : task_(task),
      state_(state),
      optimizer_(optimizer),
      segments_(segments),
      options_(options),
      next_(first_step),
      on_device_(task.device != Device{}),
      step_memory_(task.device) {
  require(options.steps_per_graph >= 0 && (on_device_ || options.steps_per_graph == 0),
          "step runner: {} steps to a graph on {}", options.steps_per_graph, task.device.str());
  if (on_device_) images_ = make_resident(task.source.train, task.device);
  evaluator_.emplace(task, state, images_, options.steps_per_graph > 0);
  if (on_device_) {
    feed_.emplace(task.device, StepFeed::Layout{});
    return;
  }
  train_.emplace(task.train_stream, first_step, options.prefetch);
  if (task.has_meta) meta_.emplace(task.meta_stream, first_step, options.prefetch);
}

StepStart StepRunner::start_of(std::int64_t step) const {
  const StepDraw draw = task_.plan.step(step);
  return {step, draw.epoch, draw.first_of_epoch};
}

bool StepRunner::is_full(std::int64_t step) const {
  return task_.plan.step(step).count == task_.plan.step(0).count;
}

// How many of the next steps can go without a stop between them, all in graphs.
std::int64_t StepRunner::capturable(std::int64_t at_most) const {
  if (options_.steps_per_graph == 0 || !has_run_) return 0;
  std::int64_t count = 0;
  for (; count < std::min(at_most, options_.steps_per_graph) && is_full(next_ + count); ++count) {
    if (count > 0 && task_.method->has_work_before(start_of(next_ + count))) break;
  }
  return count;
}

std::span<const StepResult> StepRunner::advance(std::int64_t at_most) {
  require(at_most > 0, "step runner: {} steps, expected 1 or more", at_most);
  const StepStart start = start_of(next_);
  if (task_.method->has_work_before(start)) {
    task_.method->work_before(start, [&] { return evaluator_->meta_accuracy(); });
  }
  results_.clear();
  const std::int64_t count = capturable(at_most);
  if (!on_device_) {
    step_on_cpu();
  } else if (count == 0) {
    step_eagerly();
  } else {
    const bool whole = count == options_.steps_per_graph;
    std::optional<StepGraph>& graph = whole ? several_ : single_;
    if (!graph) capture(graph, whole ? count : 1);
    replay(*graph);
  }
  has_run_ = true;
  return results_;
}

StepReport StepRunner::step_on(const Batch& train, const Batch* meta, const Number& learning_rate,
                               const Tensor& steps_before) {
  const StepContext context{.learning_rate = learning_rate,
                            .steps_before = steps_before,
                            .train = train,
                            .meta = meta,
                            .apply = [&](const Params& gradient) {
                              optimizer_.step(state_.params, flat_gradient(gradient), learning_rate,
                                              segments_, steps_before);
                            }};
  return task_.method->step(state_, context);
}

void StepRunner::add_result(StepReport report) {
  results_.push_back({.step = next_,
                      .epoch = task_.plan.step(next_).epoch,
                      .learning_rate = task_.learning_rate(next_),
                      .report = std::move(report)});
  ++next_;
}

void StepRunner::step_on_cpu() {
  const Batch train = train_->next();
  const Batch meta = meta_ ? meta_->next() : Batch{};
  add_result(step_on(train, meta_ ? &meta : nullptr, task_.learning_rate(next_), {}));
}

// Learning rate and count are read where captured steps read theirs, so that the arithmetic is the
// same.
void StepRunner::step_eagerly() {
  fill(*feed_, 0, next_, false);
  feed_->send();
  const Batch train = make_batch(task_.train_stream, next_, images_);
  const Batch meta = task_.has_meta ? make_batch(task_.meta_stream, next_, images_) : Batch{};
  add_result(step_on(train, task_.has_meta ? &meta : nullptr, feed_->number(0), feed_->count(0)));
  // Every pack that a step wants is there now.
  if (!has_run_) packs_ = pack_keys(state_.params.flat());
}

void StepRunner::fill(StepFeed& feed, std::int64_t k, std::int64_t step, bool with_batches) const {
  feed.set_count(k, 0, step);
  feed.set_number(k, 0, task_.learning_rate(step));
  if (!with_batches) return;
  const BatchDraw train = draw_batch(task_.train_stream, step);
  feed.set_batch(k, 0, train.records, train.positions);
  if (!task_.has_meta) return;
  const BatchDraw meta = draw_batch(task_.meta_stream, step);
  feed.set_batch(k, 1, meta.records, meta.positions);
}

void StepRunner::capture(std::optional<StepGraph>& graph, std::int64_t steps) {
  StepFeed::Layout layout{.steps = steps, .batches = {task_.plan.step(0).count}};
  if (task_.has_meta) layout.batches.push_back(task_.meta_stream.batch_size);
  graph.emplace(
      step_memory_, layout, state_.params, packs_, [&](std::int64_t k, const StepFeed& feed) {
        const Batch train =
            resident_batch(images_, task_.train_stream, feed.records(k, 0), feed.positions(k, 0));
        const Batch meta = task_.has_meta ? resident_batch(images_, task_.meta_stream,
                                                           feed.records(k, 1), feed.positions(k, 1))
                                          : Batch{};
        return step_on(train, task_.has_meta ? &meta : nullptr, feed.number(k), feed.count(k));
      });
}

void StepRunner::replay(StepGraph& graph) {
  for (std::int64_t k = 0; k < graph.steps(); ++k) fill(graph.feed(), k, next_ + k, true);
  graph.run();
  for (const StepReport& report : graph.reports()) add_result(report);
}

std::vector<const Graph*> StepRunner::graphs() const {
  std::vector<const Graph*> graphs;
  for (const auto* graph : {&several_, &single_}) {
    if (*graph) graphs.push_back(&(*graph)->graph());
  }
  return graphs;
}

}  // namespace ek
