#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/tensor/device.h"
#include "engine/tensor/precision.h"
#include "methods/training/run_tuning.h"

namespace ek {

// A benchmark of whole training steps on made-up data that is already in memory: no loading, no
// augmentation, no accuracy refresh unless eval_images asks for one every step.
struct BenchStepOptions {
  std::string model = "resnet32", task = "plain";  // plain | difficulty-net
  std::string estimator = "forward";               // of difficulty-net
  std::string loss = "balanced-softmax";
  Precision precision = Precision::float32;
  Device device;
  std::int64_t batch = 128, meta_batch = 100, classes = 100, image_size = 32;
  std::int64_t eval_images = 0;  // images of an accuracy pass in every step
  std::int64_t steps = 20, warmup = 3;
  std::int64_t pool = 8;  // distinct batches, rotated
  std::uint64_t seed = 0;
  // On a device, how many steps are captured together; 0: op by op. Not given: as in training
  // (methods/session/step_graph.h), but 0 with eval_images, which are counted on the host in every
  // step.
  std::optional<std::int64_t> steps_per_graph;
  // Kernel versions: measured on a step before the others, or those of a file, else the committed
  // ones (methods/training/run_tuning.h). What was measured goes to the file `write_tuning`, added
  // to what is there, which is not measured again.
  bool autotune = false;
  std::string tuning, write_tuning;
  std::string profile, trace;  // files for the tables and the Chrome trace of 5 steps, or ""
  // A data set and a training pipeline: apps/bench/data.h. image_size, classes and
  // eval_images are not used then.
  std::string with_data, augment = "cifar-basic";
};

// {"task", "model", ..., "step_ms": {median, min, p10, p90, max}, "images_per_s", "peak_bytes",
// "peak_bytes_by_use", "predicted_peak_bytes", "predicted_peak_bytes_by_use", "steady_allocations",
// "first_loss", "last_loss", "tuning"}. Times are wall times of single steps, ms, each waited for
// where the device runs beside the host; memory is the device's. With steps in graphs
// ("steps_per_graph" above 0) each time is that of a replay, launched and waited for once, divided
// by its steps, of which there are "steps" in all, rounded up to whole graphs; "launches_per_step"
// has what a replay puts on the queue, divided likewise: {kernels, copies, fills}, else null.
// Batches lie ready: the k-th step of the graph always reads the same one. Profiled steps come
// after the timed ones and do not count. The prediction is that of methods/training/price.h, from
// small batches.
nlohmann::json bench_step(const BenchStepOptions& options);

// Error naming the option unless the numbers are positive and the task is known.
void require_runnable(const BenchStepOptions& options);
// The table of kernel versions that the options ask for; writes `write_tuning`.
RunTuning bench_tuning(const BenchStepOptions& options);
// {median, min, p10, p90, max} of at least one value.
nlohmann::json quantiles(std::vector<double> values);

}  // namespace ek
