#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ek::simt {

// The shared memory of one block: the dynamic part, then static variables in the order of their
// first use, each with a red zone behind it.
class SharedArena {
 public:
  static constexpr std::size_t kMaxBytes = 227 * 1024;       // of a block, Hopper's limit
  static constexpr std::size_t kMaxStaticBytes = 48 * 1024;  // what nvcc accepts

  static constexpr std::size_t kArenaBytes = 256 * 1024;  // with room for red zones

  SharedArena();

  // A new block: everything is filled with `poison`.
  void reset(std::size_t dynamic_bytes, std::uint8_t poison);

  void* dynamic() { return memory_; }
  std::size_t dynamic_bytes() const { return dynamic_bytes_; }

  // The variable of `key`; null when it does not fit any more.
  void* slot(const void* key, std::size_t bytes, std::size_t alignment);

  // What a write past the end of the dynamic part or of a variable left behind, "" if none.
  std::string damage() const;

  bool contains(const void* address) const {
    const auto* p = static_cast<const unsigned char*>(address);
    return p >= memory_ && p < memory_ + kArenaBytes;
  }
  // [address, address + bytes) lies in the dynamic part or in one variable.
  bool declared(const void* address, std::size_t bytes) const;
  const unsigned char* begin() const { return memory_; }
  std::size_t used() const { return used_; }

 private:
  static constexpr std::size_t kRedzone = 64;
  static constexpr std::uint8_t kRedzoneByte = 0xA5;

  struct Slot {
    const void* key;
    std::size_t begin, bytes;
  };
  void close_region(std::size_t end);

  struct Free {
    void operator()(unsigned char* p) const;
  };
  std::unique_ptr<unsigned char[], Free> owner_;
  unsigned char* memory_;
  std::vector<Slot> slots_;
  std::size_t dynamic_bytes_ = 0, static_bytes_ = 0, used_ = 0;
  std::uint8_t poison_ = 0xFF;
};

}  // namespace ek::simt
