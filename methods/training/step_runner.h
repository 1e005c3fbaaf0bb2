#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "data/resident.h"
#include "methods/training/evaluator.h"
#include "methods/training/step_graph.h"
#include "methods/training/task.h"

namespace ek {

// A step that is done.
struct StepResult {
  std::int64_t step = 0, epoch = 0;
  double learning_rate = 0;
  StepReport report;
};

// Runs the steps of a task, with their batches.
//
// On the cpu one by one, on the batches of loaders with a thread of their own. On a device the
// training images lie in its memory, copied once and shared by both streams; batches are made
// there, and steps are captured in graphs of `steps_per_graph` and, for what does not fill one, of
// one step (docs/graphs.md). Eager on a device is the first step of a runner, which makes what
// later ones keep, every step with another number of images than the first (last_batch keep), and
// with steps_per_graph 0 all of them. The numbers do not depend on it.
class StepRunner {
 public:
  struct Options {
    int prefetch = 2;                  // batches that the cpu's loaders make ahead of time
    std::int64_t steps_per_graph = 0;  // 0 on the cpu
  };
  // Goes on at step `first_step` with what it is given, all of which outlives it. From here on
  // nobody replaces the tensors of `state`, or the state of the optimiser or the method.
  StepRunner(const Task& task, TrainState& state, Optimizer& optimizer,
             std::span<const kernels::OptimSegment> segments, std::int64_t first_step,
             const Options& options);

  // Runs at least one step and at most `at_most`, which is positive: what the next graph holds, or
  // one. Returns them in order; the numbers of their reports can be read until the next call. What
  // the method has to do between steps it does here.
  std::span<const StepResult> advance(std::int64_t at_most);

  // With the state of the last step; graphs as the steps have them, in other memory.
  Evaluator& evaluator() { return *evaluator_; }

  std::int64_t next_step() const { return next_; }
  // The graphs of steps that there are so far, for counting launches.
  std::vector<const Graph*> graphs() const;

 private:
  StepStart start_of(std::int64_t step) const;
  bool is_full(std::int64_t step) const;
  std::int64_t capturable(std::int64_t at_most) const;
  StepReport step_on(const Batch& train, const Batch* meta, const Number& learning_rate,
                     const Tensor& steps_before);
  void step_on_cpu();
  void step_eagerly();
  void fill(StepFeed& feed, std::int64_t k, std::int64_t step, bool with_batches) const;
  void capture(std::optional<StepGraph>& graph, std::int64_t steps);
  void replay(StepGraph& graph);
  void add_result(StepReport report);

  const Task& task_;
  TrainState& state_;
  Optimizer& optimizer_;
  std::span<const kernels::OptimSegment> segments_;
  Options options_;
  std::int64_t next_;
  bool on_device_, has_run_ = false;
  std::vector<StepResult> results_;
  // The cpu's.
  std::optional<Loader> train_, meta_;
  // A device's.
  ResidentImages images_;
  std::optional<Evaluator> evaluator_;
  std::optional<StepFeed> feed_;  // of eager steps
  std::vector<Companions::Key> packs_;
  GraphMemory step_memory_;
  std::optional<StepGraph> several_, single_;  // share it
};

}  // namespace ek
