#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "kernels/simt/clock.h"

namespace ek::simt {

// A stretch of global memory that kernels may touch.
struct Buffer {
  const unsigned char* begin;
  std::size_t bytes;
  std::string name;
  std::vector<Cell> cells;  // of the checked flavour

  const unsigned char* end() const { return begin + bytes; }
};

// Declares [begin, begin + bytes) to the executor. The checked flavour lets kernels touch nothing
// else in global memory; other flavours use the names in messages. Not thread-safe.
void register_buffer(const void* begin, std::size_t bytes, const std::string& name,
                     bool initialised);
void unregister_buffer(const void* begin);

// The buffer that holds the address, or null.
Buffer* find_buffer(const void* address);

// "4 bytes past the end of 'x' (400 bytes)", by the nearest buffer.
std::string locate(const void* address);

}  // namespace ek::simt
