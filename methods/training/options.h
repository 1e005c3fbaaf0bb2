#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "engine/tensor/device.h"
#include "engine/tensor/precision.h"
#include "methods/session/trained_run.h"

namespace ek {

// What a program adds to a recipe.
struct TrainOptions {
  std::string data;  // a data set (data/images/dataset.h)
  std::string out;   // the run folder; must not exist, or hold a run to resume
  bool resume = false;
  bool other_data = false;      // a resumed run may meet other class names and image sizes
  std::int64_t max_steps = -1;  // stop (and checkpoint) at this step; the schedule stays
  // Starting weights: a safetensors file or a run folder, or "". Of a resumed run those that it
  // began with, where anything is given. With `new_head` all but the classifier's.
  std::string init;
  bool new_head = false;
  InputPaths inputs;  // runs that this one starts from
  Precision precision = Precision::float32;
  Device device;     // a run may be resumed on another one; config.json has that of its start
  int prefetch = 2;  // batches that the cpu makes ahead of time
  // On a device, how many steps are captured together (docs/graphs.md); 0: each runs op by op. Not
  // given: steps_per_graph_for (methods/session/step_graph.h). A run with a profile or trace has
  // none.
  std::optional<std::int64_t> steps_per_graph;
  // Kernel versions: measured before the run, or those of a file; else those of the run that is
  // resumed, or the committed table (methods/training/run_tuning.h, docs/cuda.md).
  bool autotune = false;
  std::string tuning;
  // Files for the tables and the Chrome trace of a few steps after a warm-up (StepProfile), or "".
  std::string profile, trace;
};

// One line of news for whoever watches.
struct Progress {
  std::int64_t step = 0, epoch = 0;
  std::int64_t end_step = 0, total_steps = 0;  // where this call stops, and where the schedule ends
  double loss = 0;                             // of the last step whose loss was read
  double learning_rate = 0;
  double steps_per_s = 0;       // of steps alone
  double seconds_left = 0;      // to end_step, with evaluations and checkpoints at their own pace
  std::int64_t peak_bytes = 0;  // of tensor memory of the device, so far
  // Of the evaluation that is under way; images is 0 between evaluations.
  std::int64_t images_done = 0, images = 0;
};

struct TrainObserver {
  // After every step, on a device after every graph; in an evaluation after every chunk of images.
  std::function<void(const Progress&)> progress = [](const Progress&) {};
  // Among them the peak of tensor memory: predicted (methods/training/price.h) as a run starts,
  // measured as it ends.
  std::function<void(const std::string&)> message = [](const std::string&) {};
  // Asked before every step, on a device before every graph, and in an evaluation after every
  // chunk of images, which is cut short then; true ends the run with a checkpoint. A resumed run
  // makes up for the evaluation.
  std::function<bool()> interrupted = [] { return false; };
};

enum class TrainEnd { finished, stopped_at_max_steps, interrupted };

}  // namespace ek
