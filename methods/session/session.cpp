#include "methods/session/session.h"

#include <vector>

namespace ek {

Step step_without_batches(const Experiment& experiment, std::int64_t number) {
  const StepStart start = experiment.start_of(number);
  Step step{.learning_rate = experiment.learning_rate(number)};
  for (const StepNumber& n : experiment.needs.numbers) {
    step.numbers.push_back({n.name, n.at(start)});
  }
  for (const StepIndices& list : experiment.needs.indices) {
    std::vector<std::int64_t> indices(static_cast<std::size_t>(list.size));
    list.at(start, indices);
    step.index_lists.push_back(
        {list.name, Tensor::from(indices, {list.size}).to(experiment.device)});
  }
  return step;
}

Step make_step(const Experiment& experiment, std::int64_t number,
               std::span<const std::int64_t> batch_sizes) {
  Step step = step_without_batches(experiment, number);
  for (std::size_t i = 0; i < experiment.streams.size(); ++i) {
    StreamSpec spec = experiment.streams[i].spec;
    if (!batch_sizes.empty()) spec.batch_size = batch_sizes[i];
    step.batches.push_back({experiment.streams[i].name, make_batch(spec, number)});
  }
  return step;
}

Report run_step(const Experiment& experiment, State& state, const Step& step) {
  state.follow();
  return experiment.method->step(state, step);
}

}  // namespace ek
