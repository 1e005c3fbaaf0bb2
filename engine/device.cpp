#include "engine/device.h"

#include <omp.h>

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
  if (text == "cpu") return {};
  if (text == "simt" || text == "cuda" || text.starts_with("cuda:")) {
    fail("--device {}: this build has the CPU backend alone", text);
  }
  fail("--device {}: expected cpu, cuda or cuda:N", text);
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
