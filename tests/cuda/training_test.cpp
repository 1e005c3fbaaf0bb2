// Derivatives, steps and whole runs on a GPU against the CPU, and against themselves. (Steps on the
// simt device: tests/methods/training/simt_training_test.cpp.)
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <span>

#include "methods/training/precision_report.h"
#include "tests/cuda/devices.h"
#include "tests/methods/training/training_steps.h"

using namespace ek;

namespace {

constexpr std::array precisions{Precision::float32, Precision::tf32, Precision::bf16};

// How far a derivative may be from float64 on the CPU, as a 2-norm relative to it.
struct Bounds {
  double gradient, meta_gradient;
};
Bounds bounds_of(Precision precision) {
  switch (precision) {
    case Precision::bf16:
      return {1e-2, 5e-2};
    case Precision::tf32:
      return {1e-3, 1e-2};
    default:
      return {1e-5, 1e-5};
  }
}

// At a point where rounding the parameters alone already moves the derivative by more than the
// bound, ReLUs next to zero have switched, and no arithmetic of that precision keeps it: there the
// error may be a few times that.
constexpr double of_sensitivity = 4;

// Among a million activations some switch in every precision, at random parameters, which goes with
// the root of the unit roundoff (methods/training/precision_report.h): on the CPU 1 root for a
// ResNet-8 on 64 images of 32 x 32, 4 for a ResNet-32. A few images of 8 x 8 have none.
constexpr double roots_shallow = 3, roots_deep = 8;

double root_of_roundoff(Precision precision) {
  const double unit = precision == Precision::bf16   ? 0x1p-9
                      : precision == Precision::tf32 ? 0x1p-11
                                                     : 0x1p-24;
  return std::sqrt(unit);
}

void check_derivatives(const Recipe& recipe, const std::string& data, Device device,
                       Precision precision, double roots = 0) {
  TrainOptions o;
  o.data = data;
  o.device = device;
  o.precision = precision;
  const PrecisionReport report = precision_report(recipe, o);
  const Bounds bounds = bounds_of(precision);
  std::cout << fmt::format("{}: {} against float64 on the cpu\n", device.str(), name_of(precision));
  int wholes = 0;
  for (const PrecisionLine& line : report.lines) {
    if (!line.tensor.empty()) continue;
    ++wholes;
    CAPTURE(line.derivative, line.error, line.sensitivity);
    // `bounded` is how a report marks the meta-gradient.
    const double bound =
        std::max({line.bounded ? bounds.meta_gradient : bounds.gradient,
                  of_sensitivity * line.sensitivity, roots * root_of_roundoff(precision)});
    std::cout << fmt::format("  {:<36} {:.1e} of {:.1e}\n", line.derivative, line.error, bound);
    CHECK(line.norm > 0);
    CHECK(line.error <= bound);
  }
  CHECK(wholes >= 1);
}

Recipe difficulty(const std::vector<std::string>& sets) {
  return Recipe::resolve(tiny_recipe("difficulty-net"), "test", sets);
}

Recipe few_images() {
  return difficulty({"optim.lr=0.01"});
}

Recipe on_shapes(const std::string& model) {
  return difficulty({"model.name=" + model, "batch_size=64", "method.meta_batch=50",
                     "data.n_max=200", "data.meta_per_class=10", "optim.lr=0.01"});
}

// The mean distance of two curves of the loss; NaN where a loss is.
double apart(const Steps& a, const Steps& b) {
  REQUIRE(a.moments.size() == b.moments.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.moments.size(); ++i) {
    REQUIRE(a.moments[i].report.front().first == "loss");
    sum += std::abs(a.moments[i].report.front().second - b.moments[i].report.front().second);
  }
  return sum / double(a.moments.size());
}

// Batches of 16 of some more images: smooth enough that 50 steps in bf16 stay near float64.
std::string curve_recipe(const std::string& method) {
  nlohmann::json json = nlohmann::json::parse(tiny_recipe(method));
  json["batch_size"] = 16;
  json["data"]["n_max"] = 30;
  json["optim"]["lr"] = 0.01;
  json["schedule"]["length"] = 50;
  return json.dump();
}

// Curves of `steps` losses. Rounding errors grow along a training, on any machine: so a curve is
// held to the distance that the same training has on the CPU in a precision no better, from
// float64, and to what switching ReLUs do, which one machine meets and another does not: a share of
// the curve's range. tf32, which the CPU lacks, has two bits more than bf16.
void check_curves(const std::string& recipe, const std::string& data, Device device,
                  std::int64_t steps, std::span<const Precision> of) {
  constexpr double several = 8;
  const auto run = [&](Precision precision, Device on) {
    return run_steps(recipe, data, precision, on, steps);
  };
  const Steps exact = run(Precision::float64, {});
  double least = exact.moments.front().report.front().second, most = least;
  for (const Moment& moment : exact.moments) {
    least = std::min(least, moment.report.front().second);
    most = std::max(most, moment.report.front().second);
  }
  CHECK(most - least > 0.1);  // a curve that says something
  for (const Precision precision : of) {
    const bool whole = precision == Precision::float32;
    const double here = apart(run(whole ? Precision::float32 : Precision::bf16, {}), exact);
    const double there = apart(run(precision, device), exact);
    const double bound = several * here + roots_deep * root_of_roundoff(precision) * (most - least);
    CAPTURE(name_of(precision), here, there, bound);
    std::cout << fmt::format("{}: {} steps in {}: {:.1e} from float64, the cpu {:.1e}\n",
                             device.str(), steps, name_of(precision), there, here);
    CHECK(here <= 0.5 * (most - least));  // else the comparison says nothing
    CHECK(there <= bound);
  }
}

}  // namespace

TEST_CASE("gpu: gradients and meta-gradients are those of float64 on the cpu", "[.gpu]") {
  require_gpu();
  const TempDir dir;
  check_derivatives(few_images(), tiny_data(dir), gpu, Precision::float32);
  for (const Precision precision : precisions) {
    check_derivatives(on_shapes("resnet8"), "synthetic:shapes", gpu, precision, roots_shallow);
    check_derivatives(on_shapes("resnet32"), "synthetic:shapes", gpu, precision, roots_deep);
  }
}

TEST_CASE("simt: gradients and meta-gradients are those of float64 on the cpu", "[simt]") {
  if (!has_simt()) return;
  const TempDir dir;
  check_derivatives(few_images(), tiny_data(dir), simt, Precision::float32);
}

// The CPU keeps the bounds that a GPU is held to.
TEST_CASE("cpu: derivatives and curves of the other precisions", "[slow]") {
  const TempDir dir;
  const std::string data = tiny_data(dir, 40);
  constexpr std::array on_cpu{Precision::float32, Precision::bf16};
  for (const Precision precision : on_cpu) {
    check_derivatives(on_shapes("resnet8"), "synthetic:shapes", {}, precision, roots_shallow);
  }
  for (const char* method : {"supervised", "difficulty-net"}) {
    check_curves(curve_recipe(method), data, {}, 50, on_cpu);
  }
}

TEST_CASE("gpu: first steps are those of the cpu", "[.gpu]") {
  require_gpu();
  for (const char* method : {"supervised", "difficulty-net"}) {
    for (const Precision precision : precisions) compare_with_cpu(gpu, method, precision, 3);
  }
}

TEST_CASE("gpu: 50 losses follow those of the cpu", "[.gpu]") {
  require_gpu();
  const TempDir dir;
  const std::string data = tiny_data(dir, 40);
  for (const char* method : {"supervised", "difficulty-net"}) {
    CAPTURE(method);
    check_curves(curve_recipe(method), data, gpu, 50, precisions);
  }
}

TEST_CASE("simt: losses follow those of the cpu", "[simt][slow]") {
  if (!has_simt()) return;
  const TempDir dir;
  const std::string data = tiny_data(dir, 40);
  check_curves(curve_recipe("supervised"), data, simt, 10, precisions);
}

TEST_CASE("gpu: two runs have the same bits", "[.gpu]") {
  require_gpu();
  const TempDir dir;
  const std::string data = tiny_data(dir, 40);
  for (const char* method : {"supervised", "difficulty-net"}) {
    for (const Precision precision : precisions) {
      CAPTURE(method, name_of(precision));
      const auto once = [&] { return run_steps(tiny_recipe(method), data, precision, gpu, 20); };
      CHECK(same_bits(once(), once()));
    }
  }
}
