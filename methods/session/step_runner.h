#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "data/resident.h"
#include "methods/session/evaluator.h"
#include "methods/session/session.h"
#include "methods/session/step_graph.h"

namespace ek {

// A step that is done.
struct StepResult {
  std::int64_t step = 0, epoch = 0;
  double learning_rate = 0;
  Report report;
};

// Runs the steps of an experiment, with their batches.
//
// On the cpu one by one, on the batches of loaders with a thread of their own. On a device the
// training images lie in its memory, copied once and shared by all streams; batches are made
// there, and steps are captured in graphs of `steps_per_graph` and, for what does not fill one, of
// one step (docs/graphs.md); each phase of the method has its own. Eager on a device is the first
// step of a phase, which makes what later ones keep, every step with another number of images than
// the first (last_batch keep), and with steps_per_graph 0 all of them. The numbers do not depend on
// it.
class StepRunner {
 public:
  struct Options {
    int prefetch = 2;                  // batches that the cpu's loaders make ahead of time
    std::int64_t steps_per_graph = 0;  // 0 on the cpu
  };
  // Goes on at step `first_step` with what it is given, which outlives it. From here on nobody
  // replaces the tensors of `state` or loads its optimisers.
  StepRunner(const Experiment& experiment, State& state, std::int64_t first_step,
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
  // What the steps of one phase share on a device.
  struct Phase {
    std::vector<PackedParams> packs;  // those that a step of it reads
    std::optional<StepGraph> several, single;
  };

  int phase_of(std::int64_t step) const;
  bool is_full(std::int64_t step) const;
  std::int64_t capturable(std::int64_t at_most) const;
  void step_on_cpu();
  void step_eagerly();
  StepFeed::Layout layout(std::int64_t steps, bool with_batches) const;
  void fill(StepFeed& feed, std::int64_t k, std::int64_t step, bool with_batches) const;
  Step step_of(const StepFeed& feed, std::int64_t k) const;
  void capture(Phase& phase, std::optional<StepGraph>& graph, std::int64_t steps);
  void replay(StepGraph& graph);
  void add_result(Report report);

  const Experiment& experiment_;
  State& state_;
  Options options_;
  std::int64_t next_;
  bool on_device_;
  std::vector<StepResult> results_;
  std::vector<Loader> loaders_;  // the cpu's, one a stream
  // A device's.
  ResidentImages images_;
  std::optional<Evaluator> evaluator_;
  std::optional<StepFeed> feed_;  // of eager steps
  GraphMemory step_memory_;       // of all graphs of steps
  std::map<int, Phase> phases_;
};

}  // namespace ek
