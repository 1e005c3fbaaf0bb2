// Many replays with delays at random, of the host and of the queue, and other work in between: the
// bits are those of undisturbed replays. What a missing wait or a block of memory that is given
// back too early would break, it breaks only sometimes.
#include <chrono>
#include <optional>
#include <thread>

#include "tests/cuda/devices.h"
#include "tests/data/captured_steps.h"

using namespace ek;
using captured_steps::Captured;

namespace {

// Of the `event`-th replay: nothing, a pause of the host, or work of another kind and size on the
// queue, whose memory goes back at once; each about as often.
class Disturbance {
 public:
  explicit Disturbance(Device device) : device_(device) {}

  void operator()() {
    const RandomStream random(11, Purpose::test, event_++);
    const std::uint64_t kind = random.below(0, 4);
    if (kind == 1) {
      std::this_thread::sleep_for(std::chrono::microseconds(random.below(1, 300)));
    } else if (kind == 2) {
      synchronise(device_);
    } else if (kind == 3) {
      const auto size = std::int64_t(1 + random.below(2, most_));
      const Tensor a = Tensor::full({size, size}, 0.5, DType::float32, device_);
      if (random.below(3, 2) == 0) {
        sum_ += ops::sum(ops::matmul(a, a)).item();  // read on the host, hence waited for
      } else {
        kept_ = ops::matmul(a, a);  // the one before goes back while its kernel may still run
      }
    }
  }
  double sum() const { return sum_; }

 private:
  Device device_;
  std::uint32_t event_ = 0;
  std::uint64_t most_ = device_.kind == Device::Kind::cuda ? 500 : 6;
  double sum_ = 0;
  std::optional<Tensor> kept_;
};

// `steps` steps in graphs of `steps_per_graph`, compared every `every`.
void stress(Device device, std::int64_t steps, std::int64_t steps_per_graph, std::int64_t every) {
  Captured calm(device, steps_per_graph), stressed(device, steps_per_graph);
  Disturbance disturb(device);
  while (stressed.done() <= steps) {
    for (std::int64_t done = 0; done < every; done += steps_per_graph) {
      disturb();
      stressed.replay(std::ref(disturb));
    }
    stressed.read_losses();
    for (std::int64_t done = 0; done < every; done += steps_per_graph) {
      calm.replay();
      synchronise(device);
    }
    calm.read_losses();
    CAPTURE(stressed.done());
    REQUIRE(std::isfinite(calm.run.losses.back()));
    REQUIRE(stressed.run.losses == calm.run.losses);
    REQUIRE(captured_steps::same_bits(stressed.run.params.flat(), calm.run.params.flat()));
  }
  CHECK(disturb.sum() > 0);
  CHECK(stressed.run.losses.back() != stressed.run.losses.front());
}

}  // namespace

TEST_CASE("gpu: 10,000 steps with delays at random have the bits of undisturbed ones", "[.gpu]") {
  require_gpu();
  stress(gpu, 10000, 10, 1000);
}

TEST_CASE("simt: steps with delays at random have the bits of undisturbed ones", "[simt]") {
  if (!has_simt()) return;
  stress(simt, 24, 2, 12);
}
