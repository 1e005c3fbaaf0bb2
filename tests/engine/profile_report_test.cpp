#include "engine/profile/profile_report.h"

#include <sstream>

#include "tests/catch.h"

using namespace ek;

namespace {

using Words = std::vector<std::string>;

// The words of the line of `part` that begins with `name`, the name left out.
Words row(const std::string& report, const std::string& part, const std::string& name) {
  const std::size_t from = report.find("\n" + part);
  const std::size_t begin =
      from == std::string::npos ? from : report.find("\n" + name + " ", from + 1);
  if (begin == std::string::npos) return {};
  std::istringstream line(report.substr(begin + 1 + name.size(),
                                        report.find('\n', begin + 1) - begin - 1 - name.size()));
  Words words;
  for (std::string word; line >> word;) words.push_back(word);
  return words;
}

ProfileEvent event(std::string name, double start_ms, double duration_ms, int depth,
                   std::string layer = "", Phase phase = Phase::other) {
  return {.name = std::move(name),
          .detail = "",
          .start_ms = start_ms,
          .duration_ms = duration_ms,
          .depth = depth,
          .layer = std::move(layer),
          .phase = phase};
}

ProfileEvent conv(double start_ms, double duration_ms, const std::string& layer, Phase phase) {
  ProfileEvent e = event("conv2d", start_ms, duration_ms, 1, layer, phase);
  e.detail = "x [1]";
  e.flops = 4e9;
  e.bytes = 8e6;
  e.conv = ProfiledConv{{1, 8, 8, 4, 4, 3, 3}, kernels::Conv2dPass::forward, DType::float32};
  return e;
}

// Two steps of 10 ms with a convolution of 4 ms each and 2 ms of backward, an evaluation between
// them, and another thread that loads.
std::vector<ProfileEvent> two_steps() {
  std::vector<ProfileEvent> events;
  for (const double t : {0.0, 100.0}) {
    events.push_back(event("step", t, 10, 0));
    events.push_back(conv(t + 1, 4, "layer1", Phase::forward));
    events.push_back(event("norm_vjp", t + 5, 2, 1, "layer1", Phase::backward));
    events.push_back(event("add", t + 6, 0.5, 2, "layer2", Phase::backward));
    ProfileEvent load = event("make_batch", t, 3, 0, "", Phase::data);
    load.thread = 1;
    events.push_back(load);
    events.push_back(event("evaluate", t + 20, 50, 0, "layer1", Phase::evaluation));
  }
  return events;
}

}  // namespace

TEST_CASE("the report is per step, of what lies inside steps") {
  const std::string report = profile_report(two_steps(), {.unprofiled_step_ms = 9});
  CHECK(report.starts_with("Ops, all 2 profiled steps\n"));
  // calls, ms, share, GFLOP/s, GB/s: 4e9 in 4 ms is 1000 GFLOP/s
  CHECK(row(report, "Ops by shape", "conv2d x [1]") ==
        Words{"1", "4.000", "40.0%", "1000.0", "2.0"});
  CHECK(row(report, "Ops by shape", "norm_vjp") == Words{"1", "1.500", "15.0%", "-", "-"});
  CHECK(row(report, "Ops by shape", "evaluate").empty());
  CHECK(row(report, "Ops by shape", "make_batch").empty());
  CHECK(row(report, "Layers", "layer") == Words{"forward", "backward", "ms", "share"});
  CHECK(row(report, "Layers", "layer1") == Words{"4.000", "1.500", "5.500", "55.0%"});
  CHECK(row(report, "Layers", "layer2") == Words{"-", "0.500", "0.500", "5.0%"});
  CHECK(row(report, "Layers", "sum") == Words{"4.000", "2.000", "6.000", "60.0%"});
  CHECK(row(report, "Totals", "step, measured around it") == Words{"10.000", "ms", "100.0%"});
  CHECK(row(report, "Totals", "inside the scopes above") == Words{"6.000", "ms", "60.0%"});
  CHECK(row(report, "Totals", "outside of them") == Words{"4.000", "ms", "40.0%"});
  CHECK(row(report, "Totals", "scopes of other threads, meanwhile") ==
        Words{"3.000", "ms", "30.0%"});
  CHECK(row(report, "Totals", "step without the profiler, median") ==
        Words{"9.000", "ms", "90.0%"});
}

TEST_CASE("convolutions stand beside the reference") {
  int asked = 0;
  ProfileReportOptions options;
  options.reference = "peer";
  options.reference_ms = [&](const ProfiledConv& c) -> std::optional<double> {
    ++asked;
    CHECK(c.shape.in_c == 4);
    if (c.dtype == DType::float64) return std::nullopt;
    return 2.0;  // half of what the convolution above takes
  };
  const std::string report = profile_report(two_steps(), options);
  CHECK(asked == 1);  // one row of one shape
  CHECK(row(report, "Ops by shape", "conv2d x [1]") ==
        Words{"1", "4.000", "40.0%", "1000.0", "2.0", "2000.0", "0.50"});
  CHECK(row(report, "Ops by shape", "norm_vjp") ==
        Words{"1", "1.500", "15.0%", "-", "-", "-", "-"});

  auto events = two_steps();
  for (ProfileEvent& e : events) {
    if (e.conv) e.conv->dtype = DType::float64;
  }
  CHECK(row(profile_report(events, options), "Ops by shape", "conv2d x [1]") ==
        Words{"1", "4.000", "40.0%", "1000.0", "2.0", "-", "-"});
}

TEST_CASE("events without a step are one step, and none are no fault") {
  const std::string report = profile_report(
      {event("a", 0, 3, 0, "x", Phase::forward), event("b", 3, 1, 0, "x", Phase::tangent)});
  CHECK(row(report, "Layers", "x") == Words{"3.000", "1.000", "4.000", "100.0%"});
  CHECK(row(report, "Totals", "outside of them") == Words{"0.000", "ms", "0.0%"});
  CHECK(row(profile_report({}), "Totals", "step, measured around it") == Words{"0.000", "ms", "-"});
}

TEST_CASE("oneDNN is no reference for float64") {
  const auto reference = onednn_reference();
  CHECK(!reference({{1, 4, 4, 2, 2, 3, 3}, kernels::Conv2dPass::forward, DType::float64}));
}
