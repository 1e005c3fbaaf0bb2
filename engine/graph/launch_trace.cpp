#include "engine/graph/launch_trace.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "kernels/base/error.h"
#ifdef EK_HAS_SIMT_DEVICE
#include "kernels/simt/launches.h"
#endif

namespace ek {
namespace {

thread_local LaunchTrace* innermost = nullptr;

constexpr const char* kToHost = "copy to the host";
constexpr const char* kFromHost = "copy from the host";

bool within_device(const LaunchTrace::Launch& launch) {
  return launch.kernel != kToHost && launch.kernel != kFromHost;
}

}  // namespace

LaunchTrace::LaunchTrace() : outer_(std::exchange(innermost, this)) {
#ifdef EK_HAS_SIMT_DEVICE
  observer_before_ = simt::observe_launches(&LaunchTrace::note);
#endif
}

LaunchTrace::~LaunchTrace() {
#ifdef EK_HAS_SIMT_DEVICE
  simt::observe_launches(observer_before_);
#endif
  innermost = outer_;
}

void LaunchTrace::note(const char* kernel) {
  if (innermost) innermost->launches_.push_back({kernel, current_phase()});
}

void LaunchTrace::note_copy(Device to, Device from) {
  const bool to_host = to == Device{}, from_host = from == Device{};
  if (!innermost || (to_host && from_host)) return;
  note(to_host ? kToHost : from_host ? kFromHost : "copy");
}

void LaunchTrace::note_fill(Device device) {
  if (innermost && device != Device{}) note("fill");
}

std::int64_t LaunchTrace::count() const {
  return std::ranges::count_if(launches_, within_device);
}

std::map<std::string, std::int64_t> LaunchTrace::by_kernel() const {
  std::map<std::string, std::int64_t> counts;
  for (const Launch& launch : launches_) ++counts[launch.kernel];
  return counts;
}

std::string LaunchTrace::table() const {
  const auto counts = by_kernel();
  std::vector<std::pair<std::string, std::int64_t>> rows(counts.begin(), counts.end());
  std::ranges::stable_sort(rows, std::greater(), &std::pair<std::string, std::int64_t>::second);
  std::string text;
  for (const auto& [kernel, calls] : rows) text += fmt::format("{:>6}  {}\n", calls, kernel);
  return text + fmt::format("{:>6}  launches within the device\n", count());
}

}  // namespace ek
