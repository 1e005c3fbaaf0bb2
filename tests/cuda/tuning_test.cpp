// Kernel versions by a table that was measured on the device: graphs keep the bits of eager steps,
// and the network learns, whichever versions the table has.
#include "engine/tuning/autotune.h"
#include "tests/cuda/devices.h"
#include "tests/models/captured_resnet.h"

using namespace ek;

namespace {

using captured_resnet::Setting;

void compare_tuned(const Setting& s) {
  CAPTURE(s.device.str(), s.model, name_of(s.precision));
  const Tensor images = captured_resnet::random_images(s), labels = captured_resnet::some_labels(s);
  std::string line;
  Tuning tuning = autotune(
      s.device, [&] { captured_resnet::Network(s).step(images, labels, 0.1); },
      [&](const std::string& text) { line = text; });
  CAPTURE(line);
  REQUIRE(tuning.entries.size() > 20);
  CHECK(tuning.architecture == architecture_of(s.device));
  for (const TuningEntry& entry : tuning.entries) {
    REQUIRE(entry.median_us.size() > 1);
    for (const auto& [version, us] : entry.median_us) REQUIRE(us > 0);
  }
  // As measured, then the first and the last version that serves each call.
  for (const int which : {0, 1, 2}) {
    CAPTURE(which);
    for (TuningEntry& entry : tuning.entries) {
      if (which > 0) {
        entry.version = (which == 1 ? entry.median_us.front() : entry.median_us.back()).first;
      }
    }
    const TuningScope scope(tuning);
    captured_resnet::compare_with_eager(s);
  }
}

}  // namespace

TEST_CASE("gpu: steps by a table that was measured, in graphs and op by op", "[.gpu]") {
  require_gpu();
  for (const Precision precision : {Precision::float32, Precision::tf32, Precision::bf16}) {
    compare_tuned({.device = gpu, .precision = precision, .batch = 32, .size = 32, .classes = 10});
  }
}

TEST_CASE("simt: steps by a table that was measured, in graphs and op by op", "[simt]") {
  if (!has_simt()) return;
  compare_tuned({.device = simt, .replays = 1});
}
