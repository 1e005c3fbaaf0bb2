#include "engine/profile/profile_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "kernels/cpu/conv/onednn_rate.h"

namespace ek {
namespace {

// The events that belong to steps, by index, and what the steps took.
struct Steps {
  std::vector<std::size_t> events;  // inside the step scopes, those left out
  std::vector<double> self_ms;      // of all events
  double count = 0, total_ms = 0, inside_ms = 0;
  double elsewhere_ms = 0;  // self time of other threads
};

Steps find_steps(const std::vector<ProfileEvent>& events) {
  Steps steps;
  steps.self_ms = self_times_ms(events);
  const auto is_step = [](const ProfileEvent& e) {
    return e.depth == 0 && e.name == step_scope_name;
  };
  const auto first = std::ranges::find_if(events, is_step);
  const bool marked = first != events.end();
  bool inside = !marked;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const ProfileEvent& event = events[i];
    if (marked && event.thread != first->thread) {
      steps.elsewhere_ms += steps.self_ms[i];
      continue;
    }
    if (marked && event.depth == 0) inside = is_step(event);
    if (!inside) continue;
    if (marked && event.depth == 0) {
      steps.count += 1;
      steps.total_ms += event.duration_ms;
      continue;
    }
    steps.events.push_back(i);
    steps.inside_ms += steps.self_ms[i];
  }
  if (!marked) {
    steps.count = 1;
    steps.total_ms = steps.inside_ms;
  }
  return steps;
}

std::string percent(double part, double whole) {
  return whole > 0 ? fmt::format("{:.1f}%", 100 * part / whole) : std::string("-");
}

// Amount per ms in units of 1e9 a second.
std::string rate(double amount, double ms) {
  return amount > 0 && ms > 0 ? fmt::format("{:.1f}", amount / ms * 1e-6) : std::string("-");
}

std::string shape_table(const std::vector<ProfileEvent>& events, const Steps& steps,
                        const ProfileReportOptions& options) {
  struct Row {
    std::string title;
    double calls = 0, self_ms = 0, total_ms = 0, flops = 0, bytes = 0;
    std::optional<ProfiledConv> conv;
  };
  std::map<std::tuple<std::string_view, std::string_view, int>, Row> by_shape;
  for (const std::size_t i : steps.events) {
    const ProfileEvent& event = events[i];
    const int dtype = event.conv ? int(event.conv->dtype) : -1;
    Row& row = by_shape[{event.name, event.detail, dtype}];
    row.title = event.detail.empty() ? event.name : event.name + " " + event.detail;
    row.calls += 1;
    row.self_ms += steps.self_ms[i];
    row.total_ms += event.duration_ms;
    row.flops += event.flops;
    row.bytes += event.bytes;
    if (event.conv) row.conv = event.conv;
  }
  std::vector<Row> rows;
  std::size_t width = 12;
  for (auto& [key, row] : by_shape) {
    width = std::max(width, row.title.size());
    rows.push_back(std::move(row));
  }
  std::ranges::stable_sort(rows, std::ranges::greater{}, &Row::self_ms);

  const bool compares = bool(options.reference_ms);
  std::string text = fmt::format("{:<{}}  {:>6} {:>9} {:>6} {:>8} {:>7}", "op and shape", width,
                                 "calls", "ms", "share", "GFLOP/s", "GB/s");
  if (compares) text += fmt::format(" {:>8} {:>6}", options.reference, "ratio");
  text += "\n";
  for (const Row& row : rows) {
    text += fmt::format("{:<{}}  {:>6.4g} {:>9.3f} {:>6} {:>8} {:>7}", row.title, width,
                        row.calls / steps.count, row.self_ms / steps.count,
                        percent(row.self_ms, steps.total_ms), rate(row.flops, row.total_ms),
                        rate(row.bytes, row.total_ms));
    if (compares) {
      const auto ms = row.conv ? options.reference_ms(*row.conv) : std::nullopt;
      text += fmt::format(" {:>8} {:>6}", ms ? rate(row.flops / row.calls, *ms) : "-",
                          ms ? fmt::format("{:.2f}", *ms * row.calls / row.total_ms) : "-");
    }
    text += "\n";
  }
  return text;
}

std::string layer_table(const std::vector<ProfileEvent>& events, const Steps& steps) {
  struct Row {
    std::string name;
    std::array<double, phase_count> ms{};
    double total_ms = 0;
    void add(Phase phase, double self_ms) {
      ms[std::size_t(phase)] += self_ms;
      total_ms += self_ms;
    }
  };
  std::vector<Row> rows;  // in the order in which the layers come first
  std::map<std::string_view, std::size_t> index;
  Row sum{.name = "sum"};
  std::size_t width = 8;
  for (const std::size_t i : steps.events) {
    const ProfileEvent& event = events[i];
    const auto [entry, fresh] = index.try_emplace(event.layer, rows.size());
    if (fresh) rows.push_back({.name = event.layer.empty() ? "(no layer)" : event.layer});
    width = std::max(width, rows.back().name.size());
    rows[entry->second].add(event.phase, steps.self_ms[i]);
    sum.add(event.phase, steps.self_ms[i]);
  }
  rows.push_back(sum);

  constexpr std::array order{Phase::forward,   Phase::backward, Phase::tangent, Phase::evaluation,
                             Phase::optimizer, Phase::data,     Phase::other};
  const auto shown = [&](Phase phase) { return sum.ms[std::size_t(phase)] > 0; };
  std::string text = fmt::format("{:<{}} ", "layer", width);
  for (const Phase phase : order) {
    if (shown(phase)) text += fmt::format(" {:>10}", name_of(phase));
  }
  text += fmt::format(" {:>10} {:>6}\n", "ms", "share");
  for (const Row& row : rows) {
    text += fmt::format("{:<{}} ", row.name, width);
    for (const Phase phase : order) {
      const double ms = row.ms[std::size_t(phase)] / steps.count;
      if (shown(phase))
        text += ms > 0 ? fmt::format(" {:>10.3f}", ms) : fmt::format(" {:>10}", "-");
    }
    text += fmt::format(" {:>10.3f} {:>6}\n", row.total_ms / steps.count,
                        percent(row.total_ms, steps.total_ms));
  }
  return text;
}

std::string totals(const Steps& steps, const ProfileReportOptions& options) {
  const auto line = [&](std::string_view what, double ms) {
    return fmt::format("{:<40} {:>10.3f} ms {:>7}\n", what, ms / steps.count,
                       percent(ms, steps.total_ms));
  };
  std::string text = line("step, measured around it", steps.total_ms);
  text += line("inside the scopes above", steps.inside_ms);
  text += line("outside of them", steps.total_ms - steps.inside_ms);
  if (steps.elsewhere_ms > 0)
    text += line("scopes of other threads, meanwhile", steps.elsewhere_ms);
  if (options.unprofiled_step_ms > 0) {
    text += line("step without the profiler, median", options.unprofiled_step_ms * steps.count);
  }
  return text;
}

}  // namespace

std::function<std::optional<double>(const ProfiledConv&)> onednn_reference() {
  using Key = std::tuple<std::array<std::int64_t, 12>, kernels::Conv2dPass, DType>;
  return [known = std::map<Key, std::optional<double>>()](const ProfiledConv& conv) mutable {
    if (conv.dtype != DType::float32 && conv.dtype != DType::bfloat16) {
      return std::optional<double>();
    }
    const kernels::Conv2dShape& s = conv.shape;
    auto ms_of = [&](kernels::Conv2dPass pass) {
      const Key key{{s.batch, s.in_h, s.in_w, s.in_c, s.out_c, s.kernel_h, s.kernel_w, s.stride_h,
                     s.stride_w, s.pad_h, s.pad_w, s.groups},
                    pass,
                    conv.dtype};
      const auto [entry, fresh] = known.try_emplace(key);
      if (fresh) {
        entry->second = kernels::onednn_conv_ms(s, pass, conv.dtype == DType::bfloat16);
      }
      return entry->second;
    };
    const std::optional<double> ms = ms_of(conv.pass);
    if (!ms || !conv.second_pass) return ms;
    const std::optional<double> more = ms_of(*conv.second_pass);
    return more ? std::optional(*ms + *more) : std::nullopt;
  };
}

std::string profile_report(const std::vector<ProfileEvent>& events,
                           const ProfileReportOptions& options) {
  const Steps steps = find_steps(events);
  return fmt::format(
      "Ops, all {:.0f} profiled steps\n{}\nOps by shape, per step\n{}\nLayers, ms per step\n{}\n"
      "Totals, per step\n{}",
      steps.count, profile_table(events), shape_table(events, steps, options),
      layer_table(events, steps), totals(steps, options));
}

}  // namespace ek
