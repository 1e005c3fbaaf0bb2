#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <vector>

#include "kernels/simt/executor.h"

// Who knows of whose accesses: the happens-before relation that a kernel builds with barriers,
// __syncwarp, and fences around atomics.
namespace ek::simt {

// What is known of one block: all of its accesses before barrier `epoch`, and of single warps more.
struct BlockView {
  std::uint32_t epoch = 0;
  std::map<unsigned, std::array<std::uint32_t, 32>> lanes;  // of a warp: epochs up to these
};

// By block serial.
using Knowledge = std::map<std::uint64_t, BlockView>;
void join(Knowledge& into, const Knowledge& from);

// A thread that uses fences or atomics.
struct ThreadSync {
  Knowledge acquired;   // through atomics, valid after the next fence
  Knowledge known;      // after it
  Knowledge published;  // by the last fence, for whoever sees a later atomic of this thread
};

// One access: by whom, and when in that thread's time.
struct Mark {
  std::uint64_t serial = 0;  // of the block; 0: there was none
  std::uint32_t block_epoch = 0, lane_epoch = 0;
  std::uint16_t thread = 0;
  std::uint8_t bytes = 0;  // which of the four of a cell
  bool atomic = false;
  Origin at;
};

// Up to two writers and two readers of four bytes, and which of the bytes hold a value.
struct Cell {
  std::array<Mark, 2> writes, reads;
  std::uint8_t written = 0;
};

struct WarpClock {
  std::array<std::uint32_t, 32> epoch;                   // of each lane, raised when it publishes
  std::array<std::array<std::uint32_t, 32>, 32> seen{};  // seen[a][b]: epochs of b known to a
};

struct BlockClock {
  std::uint32_t epoch = 1;  // barriers passed
  std::vector<WarpClock> warps;
  Knowledge known;  // of other blocks, by all threads since the last barrier
  std::map<std::uint16_t, ThreadSync> sync;
  std::vector<Cell> shared;  // of the arena
};

Mark mark_of(const Lane& lane, std::uint8_t bytes, bool atomic, Origin at);

// The access of `mark` comes before whatever `lane` of the running block does now.
bool ordered_before(const Mark& mark, const Lane& lane);

}  // namespace ek::simt
