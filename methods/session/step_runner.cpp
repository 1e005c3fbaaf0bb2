#include "methods/session/step_runner.h"

#include <algorithm>
#include <utility>

namespace ek {
namespace {

// What a method may ask between two steps.
class TrainingHost final : public Host {
 public:
  TrainingHost(const Experiment& experiment, Evaluator& evaluator)
      : experiment_(experiment), evaluator_(evaluator) {}

  std::vector<double> class_accuracy() override { return evaluator_.meta_accuracy(); }
  const Split& split() const override { return experiment_.split; }

 private:
  const Experiment& experiment_;
  Evaluator& evaluator_;
};

// Of the state's parts, and of those of the input runs that it reads.
std::vector<PackedParams> packs_of_step(const Experiment& experiment, const State& state) {
  std::vector<PackedParams> packs = packed_params(state);
  for (const auto& run : experiment.inputs.runs()) {
    for (PackedParams& packed : packed_params(run->state())) packs.push_back(std::move(packed));
  }
  return packs;
}

}  // namespace

StepRunner::StepRunner(const Experiment& experiment, State& state, std::int64_t first_step,
                       const Options& options)
    : experiment_(experiment),
      state_(state),
      options_(options),
      next_(first_step),
      on_device_(experiment.device != Device{}),
      step_memory_(experiment.device) {
  require(options.steps_per_graph >= 0 && (on_device_ || options.steps_per_graph == 0),
          "step runner: {} steps to a graph on {}", options.steps_per_graph,
          experiment.device.str());
  if (on_device_) images_ = make_resident(experiment.source.train, experiment.device);
  evaluator_.emplace(experiment, state, images_, options.steps_per_graph > 0);
  if (on_device_) {
    feed_.emplace(experiment.device, layout(1, false));
    return;
  }
  for (const NamedStream& stream : experiment.streams) {
    loaders_.emplace_back(stream.spec, first_step, options.prefetch);
  }
}

int StepRunner::phase_of(std::int64_t step) const {
  return experiment_.method->phase(experiment_.start_of(step));
}

bool StepRunner::is_full(std::int64_t step) const {
  return experiment_.plan.step(step).count == experiment_.plan.step(0).count;
}

// How many of the next steps can go without a stop between them, all in graphs of one phase.
std::int64_t StepRunner::capturable(std::int64_t at_most) const {
  const int phase = phase_of(next_);
  if (options_.steps_per_graph == 0 || !phases_.contains(phase)) return 0;
  std::int64_t count = 0;
  for (; count < std::min(at_most, options_.steps_per_graph) && is_full(next_ + count); ++count) {
    if (count == 0) continue;
    const StepStart start = experiment_.start_of(next_ + count);
    if (experiment_.method->pauses_before(start) || experiment_.method->phase(start) != phase)
      break;
  }
  return count;
}

std::span<const StepResult> StepRunner::advance(std::int64_t at_most) {
  require(at_most > 0, "step runner: {} steps, expected 1 or more", at_most);
  const StepStart start = experiment_.start_of(next_);
  if (experiment_.method->pauses_before(start)) {
    TrainingHost host(experiment_, *evaluator_);
    experiment_.method->between(state_, start, host);
  }
  results_.clear();
  const std::int64_t count = capturable(at_most);
  if (!on_device_) {
    step_on_cpu();
  } else if (count == 0) {
    step_eagerly();
  } else {
    Phase& phase = phases_.at(phase_of(next_));
    const bool whole = count == options_.steps_per_graph;
    std::optional<StepGraph>& graph = whole ? phase.several : phase.single;
    if (!graph) capture(phase, graph, whole ? count : 1);
    replay(*graph);
  }
  return results_;
}

void StepRunner::add_result(Report report) {
  results_.push_back({.step = next_,
                      .epoch = experiment_.plan.step(next_).epoch,
                      .learning_rate = experiment_.learning_rate(next_),
                      .report = std::move(report)});
  ++next_;
}

void StepRunner::step_on_cpu() {
  Step step = step_without_batches(experiment_, next_);
  for (std::size_t i = 0; i < loaders_.size(); ++i) {
    step.batches.push_back({experiment_.streams[i].name, loaders_[i].next()});
  }
  add_result(run_step(experiment_, state_, step));
}

// Numbers are read where captured steps read theirs, so that the arithmetic is the same.
void StepRunner::step_eagerly() {
  fill(*feed_, 0, next_, false);
  feed_->send();
  Step step = step_of(*feed_, 0);
  for (const NamedStream& stream : experiment_.streams) {
    step.batches.push_back({stream.name, make_batch(stream.spec, next_, images_)});
  }
  const int phase = phase_of(next_);
  add_result(run_step(experiment_, state_, step));
  // Every pack that a step wants is there now.
  if (!phases_.contains(phase)) phases_[phase].packs = packs_of_step(experiment_, state_);
}

// Indices, then batches.
StepFeed::Layout StepRunner::layout(std::int64_t steps, bool with_batches) const {
  StepFeed::Layout layout{.steps = steps, .numbers = 1 + std::ssize(experiment_.needs.numbers)};
  for (const StepIndices& list : experiment_.needs.indices) layout.batches.push_back(list.size);
  if (!with_batches) return layout;
  for (const NamedStream& stream : experiment_.streams) {
    layout.batches.push_back(draw_batch(stream.spec, 0).of_step.count);
  }
  return layout;
}

void StepRunner::fill(StepFeed& feed, std::int64_t k, std::int64_t step, bool with_batches) const {
  const StepStart start = experiment_.start_of(step);
  feed.set_count(k, 0, step);
  feed.set_number(k, 0, experiment_.learning_rate(step));
  std::int64_t number = 1, list = 0;
  for (const StepNumber& n : experiment_.needs.numbers) feed.set_number(k, number++, n.at(start));
  for (const StepIndices& wanted : experiment_.needs.indices) {
    std::vector<std::int64_t> indices(static_cast<std::size_t>(wanted.size));
    wanted.at(start, indices);
    feed.set_batch(k, list++, indices, indices);
  }
  if (!with_batches) return;
  for (const NamedStream& stream : experiment_.streams) {
    const BatchDraw draw = draw_batch(stream.spec, step);
    feed.set_batch(k, list++, draw.records, draw.positions);
  }
}

// Without batches.
Step StepRunner::step_of(const StepFeed& feed, std::int64_t k) const {
  Step step{.learning_rate = feed.number(k), .count = feed.count(k)};
  std::int64_t number = 1, list = 0;
  for (const StepNumber& n : experiment_.needs.numbers) {
    step.numbers.push_back({n.name, feed.number(k, number++)});
  }
  for (const StepIndices& wanted : experiment_.needs.indices) {
    step.index_lists.push_back({wanted.name, feed.records(k, list++)});
  }
  return step;
}

void StepRunner::capture(Phase& phase, std::optional<StepGraph>& graph, std::int64_t steps) {
  const auto work = [&](std::int64_t k, const StepFeed& feed) {
    Step step = step_of(feed, k);
    auto list = std::ssize(experiment_.needs.indices);
    for (const NamedStream& stream : experiment_.streams) {
      step.batches.push_back(
          {stream.name,
           resident_batch(images_, stream.spec, feed.records(k, list), feed.positions(k, list))});
      ++list;
    }
    return run_step(experiment_, state_, step);
  };
  graph.emplace(step_memory_, layout(steps, true), phase.packs, work);
}

void StepRunner::replay(StepGraph& graph) {
  for (std::int64_t k = 0; k < graph.steps(); ++k) fill(graph.feed(), k, next_ + k, true);
  graph.run();
  for (const Report& report : graph.reports()) add_result(report);
}

std::vector<const Graph*> StepRunner::graphs() const {
  std::vector<const Graph*> graphs;
  for (const auto& [number, phase] : phases_) {
    for (const auto* graph : {&phase.several, &phase.single}) {
      if (*graph) graphs.push_back(&(*graph)->graph());
    }
  }
  return graphs;
}

}  // namespace ek
