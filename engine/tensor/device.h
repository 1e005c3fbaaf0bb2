#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ek {

// Where a tensor lives and which backend's kernels work on it. `simt` is the host executor that
// runs the CUDA kernels without a GPU, for tests and study; its tensors lie in the memory of the
// host. What a build or machine lacks is refused by name in parse_device, the allocator and
// engine/tensor/dispatch.h.
struct Device {
  enum class Kind : std::uint8_t { cpu, simt, cuda };
  Kind kind = Kind::cpu;
  int index = 0;

  bool operator==(const Device&) const = default;
  bool in_host_memory() const { return kind != Kind::cuda; }
  std::string str() const;
};

// "cpu", "simt", "cuda" or "cuda:N". Throws Error for anything else, and for a device that this
// build or machine does not have, with the reason.
Device parse_device(std::string_view text);

// The devices that this build and machine have, the CPU first. Asks the driver for GPUs, as does
// is_available for one.
std::vector<Device> devices();
bool is_available(Device device);
// Why a device is not available, in one clause.
std::string why_unavailable(Device device);

// Waits until the device has done all that it was given. Kernels run on a GPU while the host goes
// on; whatever reads their results on the host waits by itself, so that this is for clocks.
void synchronise(Device device);

// Sets the number of OpenMP threads of the CPU kernels; 0 leaves the runtime's choice. Results do
// not depend on it. Returns the number in force.
int set_threads(int threads);
int thread_count();

}  // namespace ek
