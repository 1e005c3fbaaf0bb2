#include "benchmarks/measure.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <regex>

#include "kernels/base/error.h"

namespace ek::bench {
namespace {

// A kernel that reads more than it writes can be a little faster than a copy.
constexpr double believable_share = 1.1;
constexpr int roof_attempts = 10;

// What is timed of one case at a time. Google Benchmark runs a case several times until it knows
// how often to call it; the operands stay.
class Timers {
 public:
  Timers(Place& place, Operands& operands) : place_(place), operands_(operands) {}

  // Empty: there is nothing to call, and why() says why.
  const std::function<double()>& of(const Case& what) {
    if (current_ == what.name()) return timer_;
    current_ = what.name();
    timer_ = nullptr;
    calls_.clear();
    why_ = "oneDNN has nothing for it here";
    operands_.reset();
    try {
      make(what);
    } catch (const Error& error) {  // a version that does not serve this shape
      if (what.version == "evenkeel") throw;
      why_ = error.what();
    }
    return timer_;
  }
  const std::string& why() const { return why_; }

 private:
  static constexpr std::size_t most_sets = 4096;

  void make(const Case& what) {
    do {
      Call call = what.make(operands_);
      if (!call) return;
      calls_.push_back(std::move(call));
    } while (!operands_.is_full() && calls_.size() < most_sets);
    calls_.front()();  // what is made at a first call, as oneDNN's code
    timer_ = place_.timer(calls_);
  }

  Place& place_;
  Operands& operands_;
  std::string current_, why_;
  std::vector<Call> calls_;
  std::function<double()> timer_;
};

void run_case(benchmark::State& state, Timers& timers, const Case& what) {
  const std::function<double()>& timer = timers.of(what);
  if (!timer) return state.SkipWithError(timers.why().c_str());
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds;
  for (auto _ : state) {
    const auto start = Clock::now();
    seconds.push_back(timer());
    // What was waited for, not what a call took, is to come to --min-time: a timer may run many.
    state.SetIterationTime(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::ranges::sort(seconds);
  state.counters["best_s"] = seconds.front();
  state.counters["median_s"] = seconds[seconds.size() / 2];
}

class Reporter : public benchmark::BenchmarkReporter {
 public:
  Reporter(const std::vector<Case>& cases, const Progress& progress, Results& results)
      : progress_(progress), results_(results) {
    for (const Case& what : cases) by_name_[what.name()] = &what;
  }
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration) continue;
      const Case& what = *by_name_.at(run.run_name.function_name);
      const auto best = run.counters.find("best_s"), median = run.counters.find("median_s");
      if (best == run.counters.end() || median == run.counters.end()) {
        progress_.skipped(what.name(), run.error_message);
        continue;
      }
      results_.rows.push_back({what, run.iterations, median->second, best->second});
      progress_.row(results_.rows.back(), results_.roof);
    }
  }

 private:
  std::map<std::string, const Case*> by_name_;
  const Progress& progress_;
  Results& results_;
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

Share share_of(const Row& row, const Roof& roof) {
  const auto over = [](double rate, double most) { return most > 0 ? rate / most : 0; };
  const double compute = over(row.gflop_s(), roof.gflop_s(row.what.precision, row.what.products));
  const double copy = over(row.gb_s(), roof.copy_gb_s);
  return {std::max(compute, copy), compute > copy};
}

std::vector<Case> select_cases(const MeasureOptions& options) {
  std::vector<Case> cases = all_cases(options.device, options.batch);
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

Results measure(const MeasureOptions& options, const Progress& progress) {
  require(options.min_time_s > 0 && options.min_time_s <= 3600,
          "--min-time: expected seconds above 0, at most 3600, got {}", options.min_time_s);
  require(
      options.footprint_mib == 0 || (options.footprint_mib >= 8 && options.footprint_mib <= 65536),
      "--footprint: expected 8 to 65536 MiB or 0, got {}", options.footprint_mib);
  require(options.batch >= 1 && options.batch <= 65536,
          "--batch: expected 1 to 65536 images, got {}", options.batch);
  const std::vector<Case> cases = select_cases(options);
  read_flags(options.google);

  const std::size_t footprint = options.footprint_mib > 0 ? std::size_t(options.footprint_mib) << 20
                                                          : default_footprint_bytes();
  const std::unique_ptr<Place> place = make_place(options.device);
  Operands operands(*place, footprint, options.seed);
  const auto measure_roof = [&] {
    const double seconds = std::clamp(options.min_time_s, 0.1, 0.5);
    return place->measure_roof(operands.whole_footprint(), footprint, seconds);
  };
  Results results{measure_roof(), footprint, {}, place->name()};
  progress.begin(results);
  Timers timers(*place, operands);
  for (const Case& what : cases) {
    benchmark::RegisterBenchmark(
        what.name().c_str(),
        [&timers, &what](benchmark::State& state) { run_case(state, timers, what); })
        ->UseManualTime()
        ->MinTime(options.min_time_s);
  }
  Reporter reporter(cases, progress, results);
  benchmark::RunSpecifiedBenchmarks(&reporter);
  benchmark::ClearRegisteredBenchmarks();
  // Times of the host executor have no roof to be compared with.
  if (options.device.kind == Device::Kind::simt) return results;
  for (int attempt = 0; attempt < roof_attempts; ++attempt) {
    results.roof.raise(measure_roof());
    if (std::ranges::none_of(results.rows, [&](const Row& row) {
          return share_of(row, results.roof).value > believable_share;
        })) {
      break;
    }
  }
  return results;
}

}  // namespace ek::bench
