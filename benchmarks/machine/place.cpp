#include "benchmarks/machine/place.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/base/error.h"

namespace ek::bench {
namespace {

// The CPU, and the host executor, whose times say nothing about a GPU.
class HostPlace : public Place {
 public:
  explicit HostPlace(bool executor) : executor_(executor) {}

  std::string name() const override { return executor_ ? "host executor" : "CPU"; }
  std::shared_ptr<void> allocate(std::size_t bytes) override {
    constexpr std::size_t page = 4096;
    const std::size_t whole = (std::max<std::size_t>(bytes, 1) + page - 1) / page * page;
    void* memory = std::aligned_alloc(page, whole);
    if (!memory) throw std::bad_alloc();
    std::memset(memory, 0, whole);
    return {memory, std::free};
  }
  void upload(void* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  kernels::Stream stream() override { return {}; }
  std::function<double()> timer(const std::vector<Call>& calls) override {
    using Clock = std::chrono::steady_clock;
    return [&calls, next = std::size_t(0)]() mutable {
      const auto start = Clock::now();
      calls[next]();
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      next = (next + 1) % calls.size();
      return seconds;
    };
  }
  Roof measure_roof(void* memory, std::size_t bytes, double seconds) override {
    if (executor_) return {};  // nothing that its times could be compared with
    return measure_cpu_roof(memory, bytes, seconds);
  }

 private:
  bool executor_;
};

}  // namespace

std::unique_ptr<Place> make_place(const Device& device) {
  require(is_available(device), "--device {}: {}", device.str(), why_unavailable(device));
  if (device.kind != Device::Kind::cuda) {
    return std::make_unique<HostPlace>(device.kind == Device::Kind::simt);
  }
#ifdef EK_HAS_CUDA_DEVICE
  return make_cuda_place(device.index);
#else
  return {};
#endif
}

}  // namespace ek::bench
