#include <fmt/format.h>

#include <cstring>

#include "kernels/simt/check/checked.h"
#include "kernels/simt/executor.h"

// ldmatrix (PTX ISA, "ldmatrix"): eight rows of eight 16-bit elements make a matrix; lane 8i + r
// brings the address of row r of matrix i. Lane 4g + t receives the elements (g, 2t) and (g, 2t+1)
// of every matrix, or of its transpose.
namespace ek::simt {

namespace {

struct Argument {
  const unsigned char* row;
  std::uint32_t* registers;
  int count;
  bool transposed;
  Site site;
};

std::uint16_t element(Warp& warp, const Lane& reader, int matrix, int row, int column) {
  const Argument& source = warp.argument<Argument>(8 * matrix + row);
  const unsigned char* address = source.row + 2 * column;
  if (checked) check_access(address, 2, Access::read, reader, source.site);
  std::uint16_t value;
  std::memcpy(&value, address, sizeof value);
  return value;
}

void deliver(Warp& warp, std::uint32_t) {
  const int count = warp.argument<Argument>(0).count;
  const bool transposed = warp.argument<Argument>(0).transposed;
  for (int i = 0; i < 32; ++i) {
    const Lane& reader = warp.lanes[std::size_t(i)];
    const int g = i / 4, t = i % 4;
    for (int m = 0; m < count; ++m) {
      const std::uint32_t low =
          transposed ? element(warp, reader, m, 2 * t, g) : element(warp, reader, m, g, 2 * t);
      const std::uint32_t high = transposed ? element(warp, reader, m, 2 * t + 1, g)
                                            : element(warp, reader, m, g, 2 * t + 1);
      warp.argument<Argument>(i).registers[m] = low | high << 16;
    }
  }
}

}  // namespace

void load_matrices(std::uint32_t* registers, int count, bool transposed, const void* row,
                   Site site) {
  const InRuntime guard;
  Executor& e = running_executor("ldmatrix");
  // Rows of lanes that bring none may be anything.
  if (e.lane->number % 32 < 8 * count) {
    const SharedArena& arena = e.block->arena;
    if (!arena.contains(row) || !arena.declared(row, 16)) {
      e.fail("ldmatrix from something that is not shared memory", site);
    }
    const auto off = reinterpret_cast<std::uintptr_t>(row) % 16;
    if (off != 0) e.fail(fmt::format("ldmatrix of a row {} bytes off its alignment", off), site);
  }
  Argument argument{static_cast<const unsigned char*>(row), registers, count, transposed, site};
  warp_collective("ldmatrix", 0xFFFFFFFF, deliver, &argument, site);
}

}  // namespace ek::simt
