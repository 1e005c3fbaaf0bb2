// ek-bench: times the kernels one by one, against what the machine reaches.
#include "apps/common/cli.h"            // CommonOptions, run_program
#include "apps/common/number_option.h"  // add_number
#include "benchmarks/measure.h"         // measure
#include "benchmarks/report.h"          // text_line, to_json, to_csv
#include "engine/io/atomic_file.h"      // write_file_atomically

namespace {

using ek::bench::MeasureOptions;
using ek::bench::Row;

struct Options {
  MeasureOptions measure;
  std::string json, csv;
  bool list = false;
};

ek::Precision parse_bench_precision(const std::string& text) {
  const ek::Precision precision = ek::parse_precision(text);
  ek::require(precision == ek::Precision::float32 || precision == ek::Precision::bf16,
              "--precision {}: expected float32, which has the rows of tf32 too, or bf16", text);
  return precision;
}

int run(const Options& o) {
  if (o.list) {
    for (const auto& what : select_cases(o.measure)) fmt::print("{}\n", what.name());
    return 0;
  }
  // Lines as they come: a full run takes minutes.
  const auto show = [](const std::string& text) {
    fmt::print("{}", text);
    std::fflush(stdout);
  };
  const int threads = ek::thread_count();
  ek::bench::Roof first;
  const auto begin = [&](const ek::bench::Results& now) {
    first = now.roof;
    const bool gpu = o.measure.device.kind == ek::Device::Kind::cuda;
    show(fmt::format(
        "roof, measured {}\n{}\n{}",
        gpu ? fmt::format("on {}", now.device) : fmt::format("with {} threads", threads),
        text_roof(now.roof, now.footprint_bytes), ek::bench::text_head()));
  };
  const auto row = [&](const Row& line, const ek::bench::Roof& roof) {
    show(text_line(line, roof));
  };
  const auto skipped = [&](const std::string& name, const std::string& why) {
    show(fmt::format("{}: left out: {}\n", name, why));
  };
  const auto results = measure(o.measure, {begin, row, skipped});
  if (results.roof.is_well_above(first)) {
    show(
        fmt::format("\nnote: the machine was faster afterwards; this roof makes every share "
                    "smaller, and the shares in files are by it\n{}",
                    text_roof(results.roof, results.footprint_bytes)));
  }
  if (!o.json.empty()) ek::write_file_atomically(o.json, to_json(results, threads).dump(1) + "\n");
  if (!o.csv.empty()) ek::write_file_atomically(o.csv, to_csv(results));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Times the kernels on the shapes of ResNet-32 and others, on the CPU beside oneDNN and plain "
      "loops, on a GPU each version up the ladder, against the measured copy bandwidth and product "
      "rate of the device."};
  ek::CommonOptions common;
  Options o;
  std::string precision;
  common.any_device = true;
  // What follows -- is Google Benchmark's.
  const auto split = std::find(argv, argv + argc, std::string_view("--"));
  if (split != argv + argc) o.measure.google.assign(split + 1, argv + argc);
  ek::add_common_options(app, common, "seed of the operands (default: 0)");
  app.add_option("--filter", o.measure.filter,
                 "a regular expression for FAMILY/SHAPE/PRECISION/VERSION")
      ->type_name("REGEX");
  app.add_option("--precision", precision, "float32 or bf16 (both unless given)")
      ->type_name("NAME");
  ek::add_number(app, "--batch", o.measure.batch, "images", std::int64_t(1));
  ek::add_number(app, "--min-time", o.measure.min_time_s, "seconds a benchmark takes at least");
  ek::add_number(app, "--footprint", o.measure.footprint_mib,
                 "MiB that the operands of a benchmark rotate through (0: beyond the caches; 8: "
                 "warm operands)");
  app.add_option("--json", o.json, "write the results to this file as one JSON object")
      ->type_name("FILE");
  app.add_option("--csv", o.csv, "write the results to this file as CSV")->type_name("FILE");
  app.add_flag("--list", o.list, "list the benchmarks and run none");
  app.footer("Flags of Google Benchmark can follow after --, as -- --benchmark_repetitions=3.");
  return ek::run_program(int(split - argv), argv, app, [&] {
    if (!precision.empty()) o.measure.precision = parse_bench_precision(precision);
    o.measure.device = common.device;
    o.measure.seed = common.seed.value_or(0);
    return run(o);
  });
}
