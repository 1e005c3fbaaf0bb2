// Time left, and evaluations that are watched and cut short.
#include "methods/training/pace.h"

#include <cmath>
#include <thread>

#include "methods/training/trainer.h"
#include "tests/catch.h"
#include "tests/methods/tiny_data.h"
#include "tests/methods/training/run_files.h"
#include "tests/simt_device.h"

using namespace ek;

TEST_CASE("work ahead counts the evaluations and checkpoints up to where a run stops") {
  const auto ahead = [](std::int64_t step, std::int64_t end, std::int64_t eval, std::int64_t save) {
    const WorkAhead work = work_ahead(step, end, eval, save);
    return std::vector{work.steps, work.evaluations, work.checkpoints};
  };
  using Numbers = std::vector<std::int64_t>;
  CHECK(ahead(0, 40, 0, 0) == Numbers{40, 1, 1});
  CHECK(ahead(0, 40, 10, 20) == Numbers{40, 4, 2});
  CHECK(ahead(9, 40, 10, 20) == Numbers{31, 4, 2});
  CHECK(ahead(10, 40, 10, 20) == Numbers{30, 4, 2});  // that of step 10 is still to come
  CHECK(ahead(11, 40, 10, 20) == Numbers{29, 3, 2});
  CHECK(ahead(39, 45, 10, 20) == Numbers{6, 2, 2});
  CHECK(ahead(40, 40, 10, 20) == Numbers{0, 1, 1});
}

TEST_CASE("a run stops for the first of what is due") {
  CHECK(steps_to_stop(0, 40, {0, 0}) == 40);
  CHECK(steps_to_stop(0, 40, {10, 25}) == 10);
  CHECK(steps_to_stop(10, 40, {10, 0}) == 10);
  CHECK(steps_to_stop(24, 40, {10, 25}) == 1);
  CHECK(steps_to_stop(39, 40, {1000}) == 1);
}

TEST_CASE("every kind of work has a pace of its own") {
  using namespace std::chrono_literals;
  Pace pace;
  CHECK(pace.seconds({100, 10, 10}) == 0);
  CHECK(pace.steps_per_s() == 0);
  std::this_thread::sleep_for(20ms);
  pace.did(Pace::steps, 10);
  std::this_thread::sleep_for(200ms);
  pace.did(Pace::evaluations, 1);
  CHECK(pace.seconds({0, 1, 0}) >= 0.2);
  CHECK(pace.seconds({10, 0, 0}) >= 0.02);
  // Sleeping may take longer than asked for, the evaluation is ten times the steps nevertheless.
  CHECK(pace.seconds({10, 0, 0}) < pace.seconds({0, 1, 0}));
  CHECK(pace.seconds({0, 0, 5}) == 0);
  CHECK(std::abs(pace.steps_per_s() * pace.seconds({10, 0, 0}) - 10) <= 1e-9);  // rounding
}

TEST_CASE("an evaluation is observed, cut short where the run is interrupted, and made up for",
          "[trainer]") {
  const TempDir dir;
  const std::string data = tiny_data(dir, 200);  // 420 held out below: two chunks on the cpu
  std::vector<Device> devices{Device{}};
  if (has_simt()) devices.push_back(simt);
  for (const Device device : devices) {
    INFO(device.str());
    // On simt in one chunk of fewer images: there the cut is the one between graphs.
    const int held_out = device == Device{} ? 140 : 2;
    const Recipe recipe =
        Recipe::resolve(tiny_recipe("supervised"), "test",
                        {"eval.every=2", fmt::format("data.meta_per_class={}", held_out)});
    TrainOptions options;
    options.data = data;
    options.device = device;
    options.out = (dir / ("straight-" + device.str())).string();
    std::vector<Progress> seen;
    TrainObserver observer;
    observer.progress = [&](const Progress& p) { seen.push_back(p); };
    REQUIRE(train(recipe, options, observer) == TrainEnd::finished);
    std::int64_t last_image = 0;
    for (const Progress& p : seen) {
      CHECK(p.end_step == 4);
      CHECK(p.seconds_left >= 0);
      if (p.images == 0) continue;
      CHECK(p.images == 6 + 3 * held_out);
      CHECK(p.step % 2 == 0);
      last_image = std::max(last_image, p.images_done);
    }
    CHECK(last_image == 6 + 3 * held_out);

    const auto straight = options.out;
    options.out = (dir / ("cut-" + device.str())).string();
    bool stop = false, evaluating = false;
    observer.progress = [&](const Progress& p) {
      evaluating = p.images > 0;
      stop = p.step == 2 && evaluating;
    };
    observer.interrupted = [&] { return stop; };
    CHECK(train(recipe, options, observer) == TrainEnd::interrupted);
    CHECK(evaluating);
    CHECK(metrics_of(options.out).back()["kind"] == "train");
    CHECK_FALSE(std::filesystem::exists(std::filesystem::path(options.out) / "best.safetensors"));
    options.resume = true;
    CHECK(train(recipe, options, {}) == TrainEnd::finished);
    CHECK(metrics_of(options.out) == metrics_of(straight));
    for (const char* name : {"last.safetensors", "best.safetensors"}) {
      CHECK(file_bytes(std::filesystem::path(options.out) / name) ==
            file_bytes(std::filesystem::path(straight) / name));
    }
  }
}
