#include "benchmarks/measure.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <regex>

#include "kernels/error.h"

namespace ek::bench {
namespace {

using Clock = std::chrono::steady_clock;

// The calls of one case at a time, each with its own operands. Google Benchmark runs a case several
// times until it knows how often to call it; the operands stay.
class Calls {
 public:
  Calls(Operands& operands, std::size_t footprint_bytes)
      : operands_(operands), footprint_bytes_(footprint_bytes) {}

  // Empty: there is nothing to call.
  const std::vector<Call>& of(const Case& what) {
    if (current_ == what.name()) return calls_;
    current_ = what.name();
    calls_.clear();
    operands_.reset();
    do {
      Call call = what.make(operands_);
      if (!call) return calls_;
      calls_.push_back(std::move(call));
    } while (operands_.used_bytes() < footprint_bytes_ && calls_.size() < most_sets);
    calls_.front()();  // what is made at a first call, as oneDNN's code
    return calls_;
  }

 private:
  static constexpr std::size_t most_sets = 4096;
  Operands& operands_;
  std::size_t footprint_bytes_;
  std::string current_;
  std::vector<Call> calls_;
};

void run_case(benchmark::State& state, const std::vector<Call>& calls) {
  if (calls.empty()) return state.SkipWithError("nothing to call");
  std::vector<double> seconds;
  std::size_t next = 0;
  for (auto _ : state) {
    const auto start = Clock::now();
    calls[next]();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    state.SetIterationTime(seconds.back());
    next = (next + 1) % calls.size();
  }
  std::ranges::sort(seconds);
  state.counters["best_s"] = seconds.front();
  state.counters["median_s"] = seconds[seconds.size() / 2];
}

Row make_row(const Case& what, std::int64_t calls, double median_s, double best_s,
             const Roof& roof) {
  Row row{what, calls, median_s, best_s, what.flop / best_s / 1e9, what.bytes / best_s / 1e9};
  const double of_compute = row.gflop_s / roof.gflop_s(what.precision);
  const double of_copy = row.gb_s / roof.copy_gb_s;
  row.compute_bound = of_compute > of_copy;
  row.share = std::max(of_compute, of_copy);
  return row;
}

class Reporter : public benchmark::BenchmarkReporter {
 public:
  Reporter(const std::vector<Case>& cases, const Roof& roof, const Session& session)
      : roof_(roof), session_(session) {
    for (const Case& what : cases) by_name_[what.name()] = &what;
  }
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration) continue;
      const Case& what = *by_name_.at(run.run_name.function_name);
      const auto best = run.counters.find("best_s"), median = run.counters.find("median_s");
      if (best == run.counters.end() || median == run.counters.end()) {
        session_.skipped(what.name());
        continue;
      }
      session_.row(make_row(what, run.iterations, median->second, best->second, roof_));
    }
  }

 private:
  std::map<std::string, const Case*> by_name_;
  const Roof& roof_;
  const Session& session_;
};

void read_flags(const std::vector<std::string>& flags) {
  std::vector<std::string> texts{"ek-bench"};
  texts.insert(texts.end(), flags.begin(), flags.end());
  std::vector<char*> arguments;
  for (std::string& text : texts) arguments.push_back(text.data());
  int count = int(arguments.size());
  arguments.push_back(nullptr);
  benchmark::Initialize(&count, arguments.data());
  require(count <= 1, "-- {}: a flag of Google Benchmark expected, as --benchmark_repetitions=5",
          count > 1 ? arguments[1] : "");
}

}  // namespace

std::vector<Case> select_cases(const MeasureOptions& options) {
  std::vector<Case> cases = all_cases();
  std::regex filter;
  try {
    filter = std::regex(options.filter);
  } catch (const std::regex_error& e) {
    fail("--filter {}: expected a regular expression: {}", options.filter, e.what());
  }
  std::erase_if(cases, [&](const Case& what) {
    return (options.precision && what.precision != *options.precision) ||
           !std::regex_search(what.name(), filter);
  });
  require(!cases.empty(),
          "--filter {}: no benchmark matches{}; --list names them (FAMILY/SHAPE/PRECISION/VERSION)",
          options.filter,
          options.precision ? fmt::format(" in {}", name_of(*options.precision)) : "");
  return cases;
}

void measure(const MeasureOptions& options, const Session& session) {
  require(options.min_time_s > 0 && options.min_time_s <= 3600,
          "--min-time: expected seconds above 0, at most 3600, got {}", options.min_time_s);
  require(
      options.footprint_mib == 0 || (options.footprint_mib >= 8 && options.footprint_mib <= 65536),
      "--footprint: expected 8 to 65536 MiB or 0, got {}", options.footprint_mib);
  const std::vector<Case> cases = select_cases(options);
  read_flags(options.google);

  const std::size_t footprint = options.footprint_mib > 0 ? std::size_t(options.footprint_mib) << 20
                                                          : default_footprint_bytes();
  constexpr std::size_t largest_set = 256 << 20;
  Operands operands(footprint + largest_set, options.seed);
  const Roof roof = measure_roof(operands, footprint, options.min_time_s);
  session.begin(roof, footprint);
  Calls calls(operands, footprint);
  for (const Case& what : cases) {
    benchmark::RegisterBenchmark(
        what.name().c_str(),
        [&calls, &what](benchmark::State& state) { run_case(state, calls.of(what)); })
        ->UseManualTime()
        ->MinTime(options.min_time_s);
  }
  Reporter reporter(cases, roof, session);
  benchmark::RunSpecifiedBenchmarks(&reporter);
  benchmark::ClearRegisteredBenchmarks();
}

}  // namespace ek::bench
