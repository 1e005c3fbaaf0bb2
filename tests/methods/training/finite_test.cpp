// Numbers that are not finite never reach a checkpoint.
#include "methods/training/finite.h"

#include <limits>

#include "methods/training/trainer.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/methods/tiny_data.h"
#include "tests/methods/training/run_files.h"
#include "tests/simt_device.h"

using namespace ek;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

Tensor numbers(std::vector<double> values, DType dtype) {
  return Tensor::from(values, {std::int64_t(values.size())}).to(dtype);
}

}  // namespace

TEST_CASE("the first tensor with a number that is not finite is named, with the step") {
  for (const DType dtype : {DType::float32, DType::float64, DType::bfloat16}) {
    INFO(name_of(dtype));
    const Tensor good = numbers({1e30, -1e-30, 0, -0.0}, dtype);
    CHECK(error_of([&] { require_finite({{"a", good}}, 3); }).empty());
    for (const double bad : {not_a_number, -not_a_number, infinity, -infinity}) {
      const Tensor broken = numbers({0, bad, bad}, dtype);
      const std::string message = error_of([&] {
        require_finite({{"a", good}, {"b.weight", broken}, {"c", broken}}, 17);
      });
      CHECK(contains(message, "after step 17, 2 of the 3 numbers of b.weight are not finite"));
      CHECK(contains(message, "(and some of 1 more tensors)"));
      CHECK(contains(message, "optim.lr"));
    }
  }
  CHECK(error_of([&] {
          require_finite({{"n", Tensor::from(std::vector<std::int64_t>{-1}, {1})}}, 1);
        }).empty());
}

TEST_CASE("a run that diverges keeps its last good checkpoint, on the cpu and on simt",
          "[trainer]") {
  const TempDir dir;
  const std::string data = tiny_data(dir);
  std::vector<Device> devices{Device{}};
  if (has_simt()) devices.push_back(simt);
  for (const Device device : devices) {
    INFO(device.str());
    const auto run = dir / ("run-" + device.str());
    TrainOptions options;
    options.data = data;
    options.out = run.string();
    options.device = device;
    const auto recipe = [](const std::string& lr) {
      return Recipe::resolve(
          tiny_recipe("supervised"), "test",
          {"checkpoint.every=1", "schedule.length=40", "schedule.kind=constant", "optim.lr=" + lr});
    };
    const std::string message = error_of([&] { train(recipe("1e12"), options, {}); });
    CAPTURE(message);
    CHECK(contains(message, "optim.lr"));
    const auto lines = metrics_of(run);
    REQUIRE_FALSE(lines.empty());
    // Whatever is there is whole and finite.
    const SafetensorsFile last = read_safetensors(run / "last.safetensors");
    CHECK(error_of([&] { require_finite(last.tensors, 0); }).empty());
    const auto saved = std::stoll(last.metadata.at("step"));
    CHECK(contains(message, fmt::format("step {}", saved + 1)));
    CHECK(lines.back()["step"] <= saved + 1);
  }
}
