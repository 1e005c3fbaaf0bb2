// The distance of a precision from float64: the comparison against planted faults, the report on a
// small recipe, and the meta-gradient in bf16.
#include "methods/training/precision_report.h"
#include "methods/training/trainer.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/temp_dir.h"

using namespace ek;

namespace {

Tensor vector(const std::vector<double>& values) {
  return Tensor::from(values, {std::int64_t(values.size())});
}

std::vector<Derivative> derivatives(double last, double meta) {
  return {{"training gradient", Params({{"a", vector({3, 0})}, {"b", vector({0, last})}})},
          {"meta-gradient", Params({{"class weights", vector({meta})}}), true}};
}

PrecisionReport report(const std::vector<Derivative>& measured,
                       Precision precision = Precision::bf16) {
  PrecisionReport out;
  out.precision = precision;
  out.lines = compare_derivatives(derivatives(4, 2), measured);
  return out;
}

// A ResNet-8 on small batches of drawn images. The batches are whole ones of the recipe.
Recipe small(const std::string& method, const std::vector<std::string>& sets = {}) {
  nlohmann::json json{
      {"data", {{"imbalance", 10}, {"n_max", 60}, {"meta_per_class", 10}, {"normalize", "half"}}},
      {"model", {{"name", "resnet8"}}},
      {"method", {{"name", method}}},
      {"optim", {{"lr", 0.01}, {"momentum", 0.9}}},
      {"schedule", {{"unit", "iteration"}, {"length", 30}, {"kind", "constant"}}},
      {"eval", {{"every", 0}}},
      {"batch_size", 32}};
  if (method == "difficulty-net") json["method"]["meta_batch"] = 40;
  return Recipe::resolve(json.dump(), "test", sets);
}

TrainOptions options(Precision precision, const std::string& init = "") {
  TrainOptions o;
  o.data = "synthetic:shapes";
  o.precision = precision;
  o.init = init;
  return o;
}

const PrecisionLine& whole(const PrecisionReport& report, const std::string& derivative) {
  for (const PrecisionLine& line : report.lines) {
    if (line.derivative == derivative && line.tensor.empty()) return line;
  }
  FAIL("no line " << derivative);
  return report.lines.front();
}

}  // namespace

TEST_CASE("precision report: errors by tensor and as a whole", "[precision]") {
  const PrecisionReport r = report(derivatives(4.5, 2));
  REQUIRE(r.lines.size() == 4);
  CHECK(r.lines[0].tensor.empty());
  CHECK(r.lines[0].norm == 5);
  CHECK(r.lines[0].error == 0.1);
  CHECK(r.lines[1].tensor == "a");
  CHECK(r.lines[1].error == 0);
  CHECK(r.lines[2].error == 0.125);
  CHECK(r.lines[3].derivative == "meta-gradient");
  CHECK(r.lines[3].error == 0);
  CHECK(r.passed());
  CHECK(contains(r.table(), "  b "));
  CHECK(contains(r.table(), "5e-02"));
  CHECK(compare_derivatives(derivatives(0, 0), derivatives(0, 0))[3].error == 0);
}

TEST_CASE("precision report: planted faults fail, in one line", "[precision]") {
  const PrecisionReport off = report(derivatives(4, 2.12));  // 6 %
  CHECK_FALSE(off.passed());
  CHECK(contains(off.fault(), "the meta-gradient in bf16 is 6.0e-02 away from float64, 5e-02 is"));
  CHECK_FALSE(contains(off.fault(), "\n"));
  CHECK(report(derivatives(4, 2.08)).passed());
  CHECK_FALSE(report(derivatives(4, 2.08), Precision::float32).passed());
  CHECK_FALSE(report(derivatives(4, -2)).passed());
  CHECK_FALSE(report(derivatives(4, 0)).passed());

  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_FALSE(report(derivatives(4, nan)).passed());
  const PrecisionReport lost = report(derivatives(nan, 2));  // not bounded, yet a number
  CHECK_FALSE(lost.passed());
  CHECK(contains(lost.fault(), "the error of training gradient in bf16 is nan"));
  // Something where float64 has nothing.
  PrecisionReport from_zero;
  from_zero.lines = compare_derivatives(derivatives(4, 0), derivatives(4, 1e-9));
  CHECK_FALSE(from_zero.passed());
  CHECK_FALSE(PrecisionReport().passed());

  std::vector<Derivative> renamed = derivatives(4, 2);
  renamed[0].name = "other";
  CHECK(contains(error_of([&] { report(renamed); }), "'other' against 'training gradient'"));
  CHECK(contains(error_of([&] { report({}); }), "0 derivatives against 2"));
}

TEST_CASE("the meta-gradient of a ResNet-8 in bf16 is near float64", "[precision][bf16]") {
  // A little trained: at random parameters gradients are as sensitive as they ever are.
  const TempDir dir;
  TrainOptions first = options(Precision::float32);
  first.out = (dir / "run").string();
  train(small("supervised"), first, {});
  const std::string init = (dir / "run" / "last.safetensors").string();

  for (const char* estimator : {"forward", "reverse"}) {
    INFO(estimator);
    const Recipe recipe = small("difficulty-net", {fmt::format("method.estimator={}", estimator)});
    const PrecisionReport half = precision_report(recipe, options(Precision::bf16, init));
    INFO(half.table());
    const std::vector<std::pair<std::string, std::int64_t>> images{{"train", 32}, {"meta", 40}};
    CHECK(half.images == images);
    CHECK(half.passed());
    const PrecisionLine& meta = whole(half, "meta-gradient");
    CHECK(meta.bounded);
    CHECK(meta.norm > 0);
    CHECK(meta.error > 1e-4);  // it is bf16 that was measured
    CHECK(meta.sensitivity > 0);
  }
  const Recipe recipe = small("difficulty-net");
  const PrecisionReport single = precision_report(recipe, options(Precision::float32, init));
  INFO(single.table());
  CHECK(single.passed());
  CHECK(whole(single, "meta-gradient").error <= 5e-3);
  const PrecisionReport plain =
      precision_report(small("supervised"), options(Precision::bf16, init));
  CHECK(plain.passed());
  CHECK(plain.images.size() == 1);
  CHECK(plain.lines.size() > 20);  // a line per parameter
}
