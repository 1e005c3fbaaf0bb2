#include "engine/device.h"

#include <omp.h>

#include <algorithm>
#include <charconv>

#include "kernels/error.h"

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
#ifdef EK_HAS_CUDA_DEVICE
  if (text == "cuda") return {Device::Kind::cuda, 0};
  if (text.starts_with("cuda:")) {
    int index = -1;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 5, end, index);
    require(error == std::errc() && stop == end && index >= 0,
            "--device {}: expected cuda:N with N from 0", text);
    return {Device::Kind::cuda, index};
  }
#endif
  for (const Device device : devices()) {
    if (text == device.str()) return device;
  }
  if (text == "simt") fail("--device simt: this build has no host executor (EK_SIMT_DEVICE)");
  if (text == "cuda" || text.starts_with("cuda:")) {
    fail("--device {}: this build has no CUDA (EK_CUDA=ON)", text);
  }
  fail("--device {}: expected cpu, simt, cuda or cuda:N", text);
}

std::vector<Device> devices() {
  std::vector<Device> all{{}};
#ifdef EK_HAS_SIMT_DEVICE
  all.push_back({Device::Kind::simt});
#endif
  return all;
}

bool is_available(Device device) {
  return std::ranges::count(devices(), device) > 0;
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
