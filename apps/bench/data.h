#pragma once
#include <nlohmann/json.hpp>

#include "apps/bench/step.h"

namespace ek {

// What loading and evaluation add to a step: whole training steps on the data set
// `options.with_data`, through the trainer's loaders with their threads, in three kinds that take
// turns, so that all see the same machine:
//   step_ms                           on batches that lie ready
//   step_ms_with_data                 on the loader's next batch
//   step_ms_with_data_and_evaluation  that, and the step's share of one evaluation an epoch (test
//                                     set, and the held-out images where the method needs them)
// Each {median, min, p10, p90, max}, wall time in ms. Beside them "wait_ms", what the second kind
// spent waiting for a batch; "prepare_ms", what one thread needs to make a step's batches when it
// is alone (best of 100); "steps_per_epoch" and "evaluated_images_per_step"; and the settings. With
// options.profile or options.trace, steps of the second kind are profiled afterwards.
nlohmann::json bench_with_data(const BenchStepOptions& options);

}  // namespace ek
