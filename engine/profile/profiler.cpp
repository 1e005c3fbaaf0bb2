#include "engine/profile/profiler.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

namespace ek {
namespace {

using Clock = std::chrono::steady_clock;

struct Profiler {
  std::mutex mutex;
  std::vector<ProfileEvent> events;
  std::vector<LayerId> layers;              // of the events
  std::deque<std::string> layer_names{""};  // whose addresses stay
  std::map<std::string, LayerId, std::less<>> layer_ids;
  std::int64_t first = 0;  // number of the first event of this recording; numbers are never reused
  Clock::time_point start;
  std::atomic<int> threads{0};
};

std::atomic<bool> on{false};

Profiler& profiler() {
  static Profiler instance;
  return instance;
}

double now_ms() {
  return std::chrono::duration<double, std::milli>(Clock::now() - profiler().start).count();
}

thread_local int depth = 0;
thread_local LayerId layer = 0;
thread_local Phase phase = Phase::other;

int thread_number() {
  thread_local const int number = profiler().threads++;
  return number;
}

}  // namespace

std::string_view name_of(Phase phase) {
  constexpr std::array<std::string_view, phase_count> names{
      "other", "data", "forward", "backward", "tangent", "optimizer", "evaluation"};
  return names[std::size_t(phase)];
}

bool profiler_on() {
  return on.load(std::memory_order_relaxed);
}

void profiler_start() {
  Profiler& p = profiler();
  std::lock_guard lock(p.mutex);
  p.first += std::int64_t(p.events.size());
  p.events.clear();
  p.layers.clear();
  p.start = Clock::now();
  on = true;
}

std::vector<ProfileEvent> profiler_stop() {
  Profiler& p = profiler();
  std::lock_guard lock(p.mutex);
  if (!profiler_on()) return {};
  on = false;
  p.first += std::int64_t(p.events.size());
  const double end_ms = now_ms();
  for (std::size_t i = 0; i < p.events.size(); ++i) {
    ProfileEvent& event = p.events[i];
    if (event.duration_ms < 0) event.duration_ms = end_ms - event.start_ms;
    event.layer = p.layer_names[std::size_t(p.layers[i])];
  }
  return std::exchange(p.events, {});
}

void ProfileScope::begin(std::string_view name, std::string detail, double flops, double bytes) {
  Profiler& p = profiler();
  std::lock_guard lock(p.mutex);
  if (!profiler_on()) return;  // stopped meanwhile, by another thread
  event_ = p.first + std::int64_t(p.events.size());
  const int thread = thread_number();
  const double open = -1;  // until end() writes the duration
  p.events.push_back({.name = std::string(name),
                      .detail = std::move(detail),
                      .start_ms = now_ms(),
                      .duration_ms = open,
                      .flops = flops,
                      .bytes = bytes,
                      .depth = depth,
                      .thread = thread,
                      .layer = {},
                      .phase = phase,
                      .conv = {}});
  p.layers.push_back(layer);
  ++depth;
}

void ProfileScope::end() {
  --depth;
  Profiler& p = profiler();
  std::lock_guard lock(p.mutex);
  if (event_ < p.first) return;  // its session is over
  ProfileEvent& event = p.events[std::size_t(event_ - p.first)];
  event.duration_ms = now_ms() - event.start_ms;
}

void ProfileScope::attach(const ProfiledConv& conv) {
  Profiler& p = profiler();
  std::lock_guard lock(p.mutex);
  if (event_ < p.first) return;  // its session is over
  p.events[std::size_t(event_ - p.first)].conv = conv;
}

LayerId current_layer() {
  return layer;
}

std::string_view name_of_layer(LayerId id) {
  Profiler& p = profiler();
  std::lock_guard lock(p.mutex);
  return p.layer_names[std::size_t(id)];
}

void LayerScope::enter(std::string_view prefix, std::string_view name) {
  Profiler& p = profiler();
  std::lock_guard lock(p.mutex);
  const auto [entry, fresh] =
      p.layer_ids.try_emplace(std::string(prefix).append(name), LayerId(p.layer_names.size()));
  if (fresh) p.layer_names.push_back(entry->first);
  enter(entry->second);
}

void LayerScope::enter(LayerId id) {
  before_ = std::exchange(layer, id);
  entered_ = true;
}

void LayerScope::leave() {
  layer = before_;
}

Phase current_phase() {
  return phase;
}

PhaseScope::PhaseScope(Phase next) : before_(std::exchange(phase, next)) {
  nvtx::push(name_of(next));
}
PhaseScope::~PhaseScope() {
  nvtx::pop();
  phase = before_;
}

std::vector<double> self_times_ms(const std::vector<ProfileEvent>& events) {
  // An event's time inside its children: the parent is the latest one of its thread, a level up.
  std::vector<double> self_ms(events.size());
  std::map<std::pair<int, int>, std::size_t> latest;  // (thread, depth)
  for (std::size_t i = 0; i < events.size(); ++i) {
    const ProfileEvent& event = events[i];
    self_ms[i] += event.duration_ms;
    latest[{event.thread, event.depth}] = i;
    const auto parent = latest.find({event.thread, event.depth - 1});
    if (parent != latest.end()) self_ms[parent->second] -= event.duration_ms;
  }
  return self_ms;
}

std::string profile_table(const std::vector<ProfileEvent>& events) {
  const std::vector<double> self_ms = self_times_ms(events);
  struct Row {
    std::string_view name;
    std::int64_t calls = 0;
    double total_ms = 0, self_ms = 0, flops = 0, bytes = 0;
  };
  std::map<std::string_view, Row> by_name;
  double all_ms = 0;
  for (std::size_t i = 0; i < events.size(); ++i) {
    Row& row = by_name[events[i].name];
    row.name = events[i].name;
    ++row.calls;
    row.total_ms += events[i].duration_ms;
    row.self_ms += self_ms[i];
    row.flops += events[i].flops;
    row.bytes += events[i].bytes;
    all_ms += self_ms[i];
  }
  std::vector<Row> rows;
  std::size_t width = 4;
  for (const auto& [name, row] : by_name) {
    rows.push_back(row);
    width = std::max(width, name.size());
  }
  std::ranges::stable_sort(rows, std::ranges::greater{}, &Row::self_ms);

  std::string table =
      fmt::format("{:<{}}  {:>8} {:>10} {:>9} {:>10} {:>6} {:>8} {:>8}\n", "op", width, "calls",
                  "total ms", "mean ms", "self ms", "share", "GFLOP/s", "GB/s");
  const auto rate = [](double amount, double ms) {
    return amount > 0 && ms > 0 ? fmt::format("{:.1f}", amount / ms * 1e-6) : std::string("-");
  };
  for (const Row& row : rows) {
    const double share = all_ms > 0 ? row.self_ms / all_ms * 100 : 0;
    table +=
        fmt::format("{:<{}}  {:>8} {:>10.3f} {:>9.4f} {:>10.3f} {:>5.1f}% {:>8} {:>8}\n", row.name,
                    width, row.calls, row.total_ms, row.total_ms / double(row.calls), row.self_ms,
                    share, rate(row.flops, row.total_ms), rate(row.bytes, row.total_ms));
  }
  return table;
}

std::string chrome_trace(const std::vector<ProfileEvent>& events) {
  using nlohmann::ordered_json;
  ordered_json list = ordered_json::array();
  for (const ProfileEvent& event : events) {
    ordered_json args = ordered_json::object();
    if (!event.detail.empty()) args["detail"] = event.detail;
    if (event.flops > 0) args["flops"] = event.flops;
    if (event.bytes > 0) args["bytes"] = event.bytes;
    if (!event.layer.empty()) args["layer"] = event.layer;
    if (event.phase != Phase::other) args["phase"] = name_of(event.phase);
    list.push_back({{"name", event.name},
                    {"cat", name_of(event.phase)},
                    {"ph", "X"},
                    {"pid", 0},
                    {"tid", event.thread},
                    {"ts", event.start_ms * 1000},  // microseconds
                    {"dur", event.duration_ms * 1000},
                    {"args", std::move(args)}});
  }
  const ordered_json trace{{"traceEvents", std::move(list)}, {"displayTimeUnit", "ms"}};
  return trace.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace ek
