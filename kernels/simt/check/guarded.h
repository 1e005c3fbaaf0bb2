#pragma once
#include <cstddef>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

// Global memory for kernel tests.
namespace ek::simt {

// `bytes` bytes that end, but for at most 15 bytes of sentinels, at a page that faults; another one
// lies before. Registered with the executor under `name`.
class GuardedMemory {
 public:
  GuardedMemory(std::size_t bytes, const std::string& name, bool initialised);
  ~GuardedMemory();
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

  // Throws ek::Error when something wrote into the sentinels before or after the data.
  void check() const;

 private:
  static constexpr unsigned char kSentinel = 0xC3;
  std::string name_;
  std::size_t bytes_, mapped_ = 0;
  unsigned char* mapping_ = nullptr;
  unsigned char *first_ = nullptr, *data_ = nullptr, *end_ = nullptr;  // [first_, end_): no fault
};

// `count` elements of T in guarded memory, aligned to 16 bytes. Without values it starts as
// `poison` bytes (0xFF: NaN for float, double and bf16), which kernels may not read.
template <class T>
class Guarded {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit Guarded(std::size_t count, const std::string& name = "output", int poison = 0xFF)
      : memory_(count * sizeof(T), name, false), count_(count) {
    std::memset(memory_.data(), poison, memory_.bytes());
  }
  explicit Guarded(const std::vector<T>& values, const std::string& name = "input")
      : memory_(values.size() * sizeof(T), name, true), count_(values.size()) {
    if (count_ > 0) std::memcpy(memory_.data(), values.data(), memory_.bytes());
  }

  T* data() { return static_cast<T*>(memory_.data()); }
  const T* data() const { return static_cast<const T*>(memory_.data()); }
  std::size_t size() const { return count_; }

  // The values, after a look at the sentinels.
  std::vector<T> values() const {
    memory_.check();
    return std::vector<T>(data(), data() + count_);
  }

 private:
  GuardedMemory memory_;
  std::size_t count_;
};

}  // namespace ek::simt
