#include "kernels/simt/check/recording.h"

#include <cstring>

#include "kernels/base/error.h"
#include "kernels/simt/executor.h"

namespace ek::simt {
namespace {

constinit thread_local LaunchRecorder* recorder = nullptr;

}  // namespace

RecordedLaunch::RecordedLaunch(const LaunchInfo& launch)
    : launch_(launch), arguments_((launch.arguments_bytes + sizeof(Line) - 1) / sizeof(Line)) {
  std::memcpy(arguments_.data(), launch.arguments, launch.arguments_bytes);
}

void RecordedLaunch::run() const {
  LaunchInfo launch = launch_;
  launch.arguments = arguments_.data();  // which moves with this object
  run_launch(launch);
}

std::string RecordedLaunch::title() const {
  return kernel_title(launch_.kernel);
}

LaunchRecorder::LaunchRecorder(std::function<void(RecordedLaunch)> keep) : keep_(std::move(keep)) {
  require(recorder == nullptr, "simt: launches of this thread are recorded already");
  recorder = this;
}

LaunchRecorder::~LaunchRecorder() {
  recorder = nullptr;
}

LaunchRecorder* LaunchRecorder::current() {
  return recorder;
}

}  // namespace ek::simt
