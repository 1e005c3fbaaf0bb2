// Graphs on a GPU: replays have the bits of eager steps, however many steps a graph holds. (The
// same on the simt device: tests/data/captured_step_test.cpp,
// tests/models/captured_resnet_test.cpp.)
#include "tests/cuda/devices.h"
#include "tests/data/captured_steps.h"
#include "tests/models/captured_resnet.h"

using namespace ek;

TEST_CASE("gpu: batches and steps in graphs of 1, 4 and 16 have the bits of eager ones", "[.gpu]") {
  require_gpu();
  captured_steps::compare_with_eager(gpu, 1 + 48, {1, 4, 16});
}

TEST_CASE("gpu: ResNet-8 and ResNet-32 in graphs have the bits of eager steps", "[.gpu]") {
  require_gpu();
  for (const char* model : {"resnet8", "resnet32"}) {
    for (const Precision precision : {Precision::float32, Precision::tf32, Precision::bf16}) {
      for (const std::int64_t steps_per_graph : {1, 4, 16}) {
        captured_resnet::compare_with_eager({.device = gpu,
                                             .model = model,
                                             .precision = precision,
                                             .batch = 32,
                                             .size = 32,
                                             .classes = 10,
                                             .steps_per_graph = steps_per_graph,
                                             .replays = 16 / steps_per_graph});
      }
    }
  }
}
