#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ek {

// Timings of ops. Off by default; when off a scope costs one branch. While on, every op adds an
// event with its name, shape text, floating-point operations and bytes. Scopes of any thread count;
// threads are numbered in the order in which they come.
struct ProfileEvent {
  std::string name, detail;
  double start_ms = 0, duration_ms = 0;
  double flops = 0, bytes = 0;
  int depth = 0;  // number of scopes of this thread around it
  int thread = 0;
};

void profiler_start();
// Stops and returns the events in the order in which they began. A scope that is still open ends
// here.
std::vector<ProfileEvent> profiler_stop();
bool profiler_on();

class ProfileScope {
 public:
  // `detail` is a callable that returns the shape text; it runs only while profiling.
  template <class Detail>
  ProfileScope(std::string_view name, Detail&& detail, double flops = 0, double bytes = 0) {
    if (profiler_on()) begin(name, detail(), flops, bytes);
  }
  explicit ProfileScope(std::string_view name) {
    if (profiler_on()) begin(name, {}, 0, 0);
  }
  ~ProfileScope() {
    if (event_ >= 0) end();
  }
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  void begin(std::string_view name, std::string detail, double flops, double bytes);
  void end();
  std::int64_t event_ = -1;
};

// Per-op table, one line each: calls, total and mean ms, self ms (without the scopes inside), share
// of self in the sum over all, GFLOP/s and GB/s of the total. Sorted by self.
std::string profile_table(const std::vector<ProfileEvent>& events);
// The events in Chrome's trace-event JSON.
std::string chrome_trace(const std::vector<ProfileEvent>& events);

}  // namespace ek
