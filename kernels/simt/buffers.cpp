#include "kernels/simt/buffers.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "kernels/simt/check/checked.h"

namespace ek::simt {

namespace {

// Sorted by address.
std::vector<std::unique_ptr<Buffer>> buffers;
Buffer* last_found = nullptr;

std::size_t first_after(const unsigned char* address) {
  const auto after = std::upper_bound(
      buffers.begin(), buffers.end(), address,
      [](const unsigned char* a, const std::unique_ptr<Buffer>& b) { return a < b->begin; });
  return std::size_t(after - buffers.begin());
}

}  // namespace

void register_buffer(const void* begin, std::size_t bytes, const std::string& name,
                     bool initialised) {
  const auto* at = static_cast<const unsigned char*>(begin);
  auto buffer = std::make_unique<Buffer>(Buffer{at, bytes, name, {}});
  if (checked) {
    // Cells are aligned to four bytes of address, so the first and last may be shared ones.
    const std::size_t offset = reinterpret_cast<std::uintptr_t>(begin) % 4;
    buffer->cells.resize((offset + bytes + 3) / 4);
    if (initialised) {
      for (Cell& cell : buffer->cells) cell.written = 0xF;
    }
  }
  buffers.insert(buffers.begin() + std::ptrdiff_t(first_after(at)), std::move(buffer));
  last_found = nullptr;
}

void unregister_buffer(const void* begin) {
  std::erase_if(buffers, [&](const auto& buffer) { return buffer->begin == begin; });
  last_found = nullptr;
}

Buffer* find_buffer(const void* address) {
  const auto* p = static_cast<const unsigned char*>(address);
  if (last_found && p >= last_found->begin && p < last_found->end()) return last_found;
  const std::size_t after = first_after(p);
  if (after == 0 || p >= buffers[after - 1]->end()) return nullptr;
  return last_found = buffers[after - 1].get();
}

std::string locate(const void* address) {
  const auto* p = static_cast<const unsigned char*>(address);
  const std::size_t after = first_after(p);
  const Buffer* below = after > 0 ? buffers[after - 1].get() : nullptr;
  const Buffer* above = after < buffers.size() ? buffers[after].get() : nullptr;
  if (below && p < below->end()) return fmt::format("inside '{}'", below->name);
  if (!below && !above) return "in memory of no buffer";
  if (below && (!above || p - below->end() <= above->begin - p)) {
    return fmt::format("{} bytes past the end of '{}' ({} bytes)", p - below->end(), below->name,
                       below->bytes);
  }
  return fmt::format("{} bytes before '{}' ({} bytes)", above->begin - p, above->name,
                     above->bytes);
}

}  // namespace ek::simt
