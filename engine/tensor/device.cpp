#include "engine/tensor/device.h"

#include <omp.h>

#include <algorithm>
#include <charconv>

#include "engine/graph/capture.h"
#include "engine/memory/cuda_runtime.h"
#include "kernels/base/error.h"

namespace ek {

std::string Device::str() const {
  switch (kind) {
    case Kind::cpu:
      return "cpu";
    case Kind::simt:
      return "simt";
    case Kind::cuda:
      return fmt::format("cuda:{}", index);
  }
  return "?";
}

Device parse_device(std::string_view text) {
  Device device;
  if (text == "simt") {
    device.kind = Device::Kind::simt;
  } else if (text == "cuda") {
    device.kind = Device::Kind::cuda;
  } else if (text.starts_with("cuda:")) {
    device.kind = Device::Kind::cuda;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 5, end, device.index);
    require(error == std::errc() && stop == end && device.index >= 0,
            "--device {}: expected cuda:N with N from 0", text);
  } else {
    require(text == "cpu", "--device {}: expected cpu, simt, cuda or cuda:N", text);
  }
  require(is_available(device), "--device {}: {}", text, why_unavailable(device));
  return device;
}

std::vector<Device> devices() {
  std::vector<Device> all{{}};
  const Device executor{Device::Kind::simt};
  if (is_available(executor)) all.push_back(executor);
  for (int gpu = 0; gpu < cuda::gpus().count; ++gpu) all.push_back({Device::Kind::cuda, gpu});
  return all;
}

bool is_available(Device device) {
  switch (device.kind) {
    case Device::Kind::cpu:
      return true;
    case Device::Kind::simt:
#ifdef EK_HAS_SIMT_DEVICE
      return true;
#else
      return false;
#endif
    case Device::Kind::cuda:
      return device.index >= 0 && device.index < cuda::gpus().count;
  }
  return false;
}

std::string why_unavailable(Device device) {
  if (device.kind == Device::Kind::simt) return "this build has no host executor (EK_SIMT_DEVICE)";
  const auto& [count, why_none] = cuda::gpus();
  if (count == 0) return why_none;
  return fmt::format("this machine has {} GPU{}, numbered from 0", count, count == 1 ? "" : "s");
}

void synchronise(Device device) {
  refuse_in_capture(device, [&] { return fmt::format("synchronise({})", device.str()); });
  if (device.kind == Device::Kind::cuda) cuda::synchronise(device.index);
}

int set_threads(int threads) {
  require(threads >= 0, "--threads {}: expected 0 (the runtime's choice) or more", threads);
  if (threads > 0) omp_set_num_threads(threads);
  return omp_get_max_threads();
}

int thread_count() {
  return omp_get_max_threads();
}

}  // namespace ek
