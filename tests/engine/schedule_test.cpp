#include "engine/training/schedule.h"

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/paths.h"

using namespace ek;
using Kind = ScheduleSpec::Kind;
using Unit = ScheduleSpec::Unit;
using Warmup = ScheduleSpec::Warmup;

namespace {

// The golden file's eight, in its names.
std::map<std::string, ScheduleSpec> golden_specs() {
  const auto multistep = [](std::int64_t length, double lr, std::vector<std::int64_t> milestones,
                            double gamma) {
    ScheduleSpec spec;
    spec.kind = Kind::multistep;
    spec.length = length;
    spec.lr = lr;
    spec.milestones = std::move(milestones);
    spec.gamma = gamma;
    return spec;
  };
  const auto warmed = [](ScheduleSpec spec, Warmup kind, std::int64_t length, double start) {
    spec.warmup = kind;
    spec.warmup_length = length;
    spec.warmup_start = start;
    return spec;
  };
  ScheduleSpec ldam = warmed(multistep(200, 0.1, {160, 180}, 0), Warmup::count, 5, 0);
  ldam.gammas = {1e-2, 1e-4};
  ScheduleSpec cosine;
  cosine.kind = Kind::cosine;
  cosine.lr = 0.05;
  cosine.length = 180;
  ScheduleSpec cosine_50 = cosine;
  cosine_50.length = 50;
  return {
      {"difficulty_net_cifar_12800",
       warmed(multistep(12800, 0.2, {6400, 9600}, 0.1), Warmup::ramp, 400, 0.1)},
      {"cosine_0.05_T180", cosine},
      {"cosine_0.05_T50_stage2_code", cosine_50},
      {"ldam_200", ldam},
      {"mislas_cifar_200", warmed(multistep(200, 0.1, {160, 180}, 0.1), Warmup::count, 5, 0)},
      {"lade_cifar_200", warmed(multistep(200, 0.2, {120, 160}, 0.01), Warmup::ramp, 5, 0.2 / 3)},
      {"stage2_cifar_seed_50", multistep(50, 0.1, {30, 40}, 0.1)},
      {"places_stage1_30", multistep(30, 0.01, {9, 19}, 0.1)},
  };
}

}  // namespace

TEST_CASE("the schedules of the golden file") {
  std::ifstream stream(source_dir() + "/tests/golden/data_protocol.json");
  const auto golden = nlohmann::json::parse(stream).at("lr_schedules");
  const auto specs = golden_specs();
  REQUIRE(golden.size() == specs.size());
  for (const auto& [name, values] : golden.items()) {
    REQUIRE(specs.contains(name));
    const ScheduleSpec& spec = specs.at(name);
    check_schedule(spec);
    for (const auto& [t, expected] : values.items()) {
      // A few roundings, in another order than the golden program's. The end of a cosine is a
      // difference of numbers near lr, so the scale is lr.
      const double tolerance = 1e-15 * spec.lr + 1e-15 * expected.get<double>();
      const double error = std::abs(learning_rate(spec, std::stoll(t)) - expected.get<double>());
      INFO(name << " at " << t);
      REQUIRE(error <= tolerance);
    }
  }
}

TEST_CASE("a cosine with a warm-up, a floor and an origin of its own") {
  // Ten epochs lr (e + 1) / 10, then lr / 2 (1 + cos(pi (e - 9) / 391)).
  ScheduleSpec spec;
  spec.kind = Kind::cosine;
  spec.lr = 0.02;
  spec.length = 400;
  spec.warmup = Warmup::count;
  spec.warmup_length = 10;
  spec.cosine_begin = 9;
  check_schedule(spec);
  const auto near = [](double value, double expected) {
    return std::abs(value - expected) <= 1e-16;  // a few roundings of numbers of 0.02
  };
  const double pi = std::acos(-1.0);
  CHECK(near(learning_rate(spec, 0), 0.002));
  CHECK(near(learning_rate(spec, 9), 0.02));
  CHECK(near(learning_rate(spec, 10), 0.01 * (1 + std::cos(pi / 391))));
  CHECK(near(learning_rate(spec, 200), 0.01 * (1 + std::cos(pi * 191 / 391))));
  spec.final_lr = 0.001;
  CHECK(near(learning_rate(spec, 400), 0.001));
  CHECK(near(learning_rate(spec, 100000), 0.001));
}

TEST_CASE("constant stays, and units turn steps into time") {
  ScheduleSpec spec;
  spec.length = 10;
  spec.lr = 0.3;
  check_schedule(spec);
  for (int t : {0, 5, 9, 20}) CHECK(learning_rate(spec, t) == 0.3);
  CHECK(total_steps(spec, 84) == 840);
  CHECK(schedule_time(spec, 83, 84) == 0);
  CHECK(schedule_time(spec, 84, 84) == 1);
  spec.unit = Unit::iteration;
  CHECK(total_steps(spec, 84) == 10);
  CHECK(schedule_time(spec, 83, 84) == 83);
  spec.unit = Unit::epoch;
  spec.length = std::int64_t(1) << 62;
  CHECK(contains(error_of([&] { total_steps(spec, 84); }), "too many"));
}

TEST_CASE("schedules that make no sense are refused by key") {
  const ScheduleSpec good = golden_specs().at("ldam_200");
  const auto error_with = [&](auto change) {
    ScheduleSpec spec = good;
    change(spec);
    return error_of([&] { check_schedule(spec); });
  };
  CHECK(error_with([](auto&) {}).empty());
  CHECK(contains(error_with([](auto& s) { s.length = 0; }), "schedule.length: 0"));
  CHECK(contains(error_with([](auto& s) { s.lr = -1; }), "optim.lr: -1"));
  CHECK(contains(error_with([](auto& s) { s.lr = std::nan(""); }), "optim.lr: nan"));
  CHECK(contains(error_with([](auto& s) { s.warmup_length = 201; }), "schedule.warmup:"));
  CHECK(contains(error_with([](auto& s) { s.milestones = {180, 160}; }), "expected rising"));
  CHECK(contains(error_with([](auto& s) { s.gammas = {1}; }), "schedule.gammas: 1 values"));
  CHECK(contains(error_with([](auto& s) { s.kind = Kind::cosine; }), "schedule.milestones"));
  CHECK(contains(error_with([](auto& s) { s.cosine_begin = 200; }), "schedule.cosine_begin"));
  CHECK(contains(error_of([&] { learning_rate(good, -1); }), "time -1"));
}

TEST_CASE("the names of recipes") {
  CHECK(parse_schedule_kind("multistep") == Kind::multistep);
  CHECK(parse_schedule_kind("cosine") == Kind::cosine);
  CHECK(parse_schedule_kind("constant") == Kind::constant);
  CHECK(parse_schedule_unit("iteration") == Unit::iteration);
  CHECK(parse_schedule_unit("epoch") == Unit::epoch);
  CHECK(parse_schedule_warmup("ramp") == Warmup::ramp);
  CHECK(parse_schedule_warmup("count") == Warmup::count);
  CHECK(error_of([] { parse_schedule_kind("cosin"); }) ==
        "schedule.kind: 'cosin', expected one of constant, multistep, cosine, did you mean "
        "'cosine'?");
}
