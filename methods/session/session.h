#pragma once
#include <cstdint>
#include <span>

#include "methods/session/experiment.h"

namespace ek {

// One step of an experiment, wherever a step is made: training, prices, tuning, audits, precision
// reports and benchmarks all come through here.

// The inputs of step `number`, with batches made here and now. `batch_sizes` replaces those of the
// streams, in their order, where it is not empty (prices are taken at several sizes). Numbers and
// indices are those of the step.
Step make_step(const Experiment& experiment, std::int64_t number,
               std::span<const std::int64_t> batch_sizes = {});

// The same without batches, whose names the streams tell.
Step step_without_batches(const Experiment& experiment, std::int64_t number);

// Parts that follow others move, then the method steps.
Report run_step(const Experiment& experiment, State& state, const Step& step);

}  // namespace ek
